// An SMSC on node-smpp. Argument 1 is JSON: {port, controlPort, systemId, password, receiptDelayMs, throttleFirst}.
// Control, HTTP on loopback: GET /submits (all, as node-smpp read them), POST /inbound {from, to, text}.
const http = require('http');
const { randomUUID } = require('crypto');
const smpp = require('smpp');

const options = JSON.parse(process.argv[2]);
const submits = [];
const receivers = new Set();
let throttleLeft = options.throttleFirst;

const date = () => new Date().toISOString().replace(/\D/g, '').slice(2, 12);

function receipt(session, pdu, id) {
  const delivered = !pdu.destination_addr.endsWith('9');
  const receiver = receivers.has(session) ? session : [...receivers][0];
  if (!receiver) return setTimeout(receipt, 100, session, pdu, id);
  receiver.deliver_sm({
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    source_addr_ton: pdu.dest_addr_ton, source_addr_npi: pdu.dest_addr_npi, source_addr: pdu.destination_addr,
    dest_addr_ton: pdu.source_addr_ton, dest_addr_npi: pdu.source_addr_npi, destination_addr: pdu.source_addr,
    short_message: `id:${id} sub:001 dlvrd:${delivered ? '001' : '000'} submit date:${date()} done date:${date()} ` +
      `stat:${delivered ? 'DELIVRD' : 'UNDELIV'} err:${delivered ? '000' : '011'} text:`,
    receipted_message_id: id, message_state: delivered ? 2 : 5,
  });
}

const server = smpp.createServer((session) => {
  const bind = (pdu) => {
    const known = pdu.system_id === options.systemId && pdu.password === options.password;
    session.send(pdu.response({ command_status: known ? smpp.ESME_ROK : smpp.ESME_RBINDFAIL, system_id: 'node' }));
    if (known && pdu.command !== 'bind_transmitter') receivers.add(session);
  };
  for (const command of ['bind_transmitter', 'bind_receiver', 'bind_transceiver']) session.on(command, bind);
  session.on('submit_sm', (pdu) => {
    if (throttleLeft > 0) {
      throttleLeft -= 1;
      return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    }
    const id = randomUUID();
    const { udh, message } = pdu.short_message || {};
    submits.push({
      id, from: pdu.source_addr, to: pdu.destination_addr, esm_class: pdu.esm_class, data_coding: pdu.data_coding,
      registered_delivery: pdu.registered_delivery, udh: (udh || []).map((element) => element.toString('hex')),
      text: Buffer.isBuffer(message) ? message.toString('hex') : message,
    });
    session.send(pdu.response({ message_id: id }));
    if (pdu.registered_delivery & 1) setTimeout(receipt, options.receiptDelayMs, session, pdu, id);
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); });
  session.on('close', () => receivers.delete(session));
  session.on('error', () => session.destroy());
});

const control = http.createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => {
    if (request.url === '/inbound' && request.method === 'POST') {
      const { from, to, text } = JSON.parse(body);
      for (const session of [...receivers].slice(0, 1)) {
        session.deliver_sm({ source_addr: from, destination_addr: to, short_message: text });
      }
    }
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(request.url === '/submits' ? submits : { receivers: receivers.size }));
  });
});

server.listen(options.port, '127.0.0.1');
control.listen(options.controlPort, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
