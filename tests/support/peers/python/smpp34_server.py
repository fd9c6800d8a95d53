"""An SMSC of few words made with smpp34: takes every submit_sm, answers with an id, and tells its delivery."""

import asyncio
import sys

import smpp34


async def serve(port: int) -> None:
    server = smpp34.Server(host="127.0.0.1", port=port, system_id="smsc")
    await server.start()
    sessions, taken, reports = {}, 0, set()

    async def report(session, event, message_id):
        await asyncio.sleep(0.05)
        await session.deliver_sm(
            source_addr=event.destination_addr, destination_addr=event.source_addr, esm_class=0x04,
            short_message=f"id:{message_id} sub:001 dlvrd:001 submit date:2401010000 done date:2401010000 stat:DELIVRD err:000 text:".encode(),
        )  # fmt: skip

    while True:
        event = await server.next()
        if isinstance(event, smpp34.Esme):
            sessions[event.session_id] = event
        elif isinstance(event, smpp34.SubmitSmEvent):
            taken += 1
            message_id = f"{taken:08x}"
            event.accept(message_id=message_id)
            task = asyncio.create_task(report(sessions[event.session_id], event, message_id))
            reports.add(task)
            task.add_done_callback(reports.discard)


asyncio.run(serve(int(sys.argv[1])))
