package scopestamp;

import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Lets core calls through while Studio lives, one at a time.
 *
 * Studio deletes its core some 50 ms after it says that it closes, and a call into a deleted core ends the whole
 * program. So closing waits for the call that is inside, and none comes in after it.
 */
final class CoreGate {
    private static final long PATIENCE_S = 30; // a device that hangs longer would hold Studio's own unloading up too
    private final ReentrantLock lock = new ReentrantLock(true);
    private volatile Object closing;

    /** Studio is closing. */
    static final class Closing extends Exception {
        private static final long serialVersionUID = 1;

        Closing() {
            super("closing");
        }
    }

    <T> T inside(Callable<T> work) throws Exception {
        lock.lock();
        try {
            if (isClosing()) {
                throw new Closing();
            }
            return work.call();
        } finally {
            lock.unlock();
        }
    }

    /** Returns once no core call is under way and none will begin; called on the thread that closes Studio. */
    void shut(Object event) {
        closing = event;
        try {
            if (lock.tryLock(PATIENCE_S, TimeUnit.SECONDS)) {
                lock.unlock();
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Studio has shown that it lives on. */
    void reopen() {
        closing = null;
    }

    boolean isClosing() {
        Object event = closing;
        return event != null && !isCancelled(event);
    }

    private static boolean isCancelled(Object event) {
        try {
            return Boolean.TRUE.equals(Reflected.call(event, "isCanceled|isCancelled|getIsCancelled"));
        } catch (Exception unknown) {
            return false;
        }
    }
}
