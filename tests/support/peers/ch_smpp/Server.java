import com.cloudhopper.smpp.SmppConstants;
import com.cloudhopper.smpp.SmppServerConfiguration;
import com.cloudhopper.smpp.SmppServerHandler;
import com.cloudhopper.smpp.SmppServerSession;
import com.cloudhopper.smpp.SmppSessionConfiguration;
import com.cloudhopper.smpp.impl.DefaultSmppServer;
import com.cloudhopper.smpp.impl.DefaultSmppSessionHandler;
import com.cloudhopper.smpp.pdu.BaseBind;
import com.cloudhopper.smpp.pdu.BaseBindResp;
import com.cloudhopper.smpp.pdu.DeliverSm;
import com.cloudhopper.smpp.pdu.PduRequest;
import com.cloudhopper.smpp.pdu.PduResponse;
import com.cloudhopper.smpp.pdu.SubmitSm;
import com.cloudhopper.smpp.pdu.SubmitSmResp;
import com.cloudhopper.smpp.tlv.Tlv;
import com.cloudhopper.smpp.type.SmppProcessingException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** An SMSC of few words: takes every submit_sm, answers with an id, and tells its delivery a moment later. */
public final class Server {
    private static final ScheduledExecutorService LATER = Executors.newScheduledThreadPool(1);
    private static final AtomicLong IDS = new AtomicLong(1000);

    public static void main(String[] args) throws Exception {
        SmppServerConfiguration configuration = new SmppServerConfiguration();
        configuration.setHost("127.0.0.1");
        configuration.setPort(Integer.parseInt(args[0]));
        configuration.setMaxConnectionSize(10);
        configuration.setNonBlockingSocketsEnabled(true);
        new DefaultSmppServer(configuration, new Handler(), Executors.newCachedThreadPool()).start();
        Thread.currentThread().join();
    }

    private static final class Handler implements SmppServerHandler {
        @Override
        public void sessionBindRequested(Long id, SmppSessionConfiguration session, BaseBind bind)
                throws SmppProcessingException {
            if (!session.getPassword().equals("test")) {
                throw new SmppProcessingException(SmppConstants.STATUS_INVPASWD);
            }
        }

        @Override
        public void sessionCreated(Long id, SmppServerSession session, BaseBindResp response) {
            session.serverReady(new Session(session));
        }

        @Override
        public void sessionDestroyed(Long id, SmppServerSession session) {
            session.destroy();
        }
    }

    private static final class Session extends DefaultSmppSessionHandler {
        private final SmppServerSession session;

        Session(SmppServerSession session) {
            this.session = session;
        }

        @Override
        public PduResponse firePduRequestReceived(PduRequest request) {
            PduResponse response = request.createResponse();
            if (request instanceof SubmitSm) {
                String id = Long.toString(IDS.incrementAndGet());
                ((SubmitSmResp) response).setMessageId(id);
                LATER.schedule(() -> report((SubmitSm) request, id), 50, TimeUnit.MILLISECONDS);
            }
            return response;
        }

        private void report(SubmitSm submit, String id) {
            try {
                DeliverSm receipt = new DeliverSm();
                receipt.setEsmClass(SmppConstants.ESM_CLASS_MT_SMSC_DELIVERY_RECEIPT);
                receipt.setSourceAddress(submit.getDestAddress());
                receipt.setDestAddress(submit.getSourceAddress());
                String text = "id:" + id + " sub:001 dlvrd:001 submit date:2401010000 done date:2401010000 stat:DELIVRD err:000 text:";
                receipt.setShortMessage(text.getBytes(StandardCharsets.US_ASCII));
                byte[] tlv = (id + "\0").getBytes(StandardCharsets.US_ASCII);
                receipt.addOptionalParameter(new Tlv(SmppConstants.TAG_RECEIPTED_MSG_ID, tlv));
                session.sendRequestPdu(receipt, 5000, false);
            } catch (Exception error) {
                System.err.println("a receipt was not sent: " + error.getClass().getSimpleName());
            }
        }
    }
}
