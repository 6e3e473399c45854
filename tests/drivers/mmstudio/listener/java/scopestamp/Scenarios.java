package scopestamp;

import com.google.common.eventbus.Subscribe;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.micromanager.fake.Data;
import org.micromanager.fake.Events;
import org.micromanager.fake.Studio;

/** Plays one scenario with the true bus and prints the listener's answers, a line each; the assertions are in Python. */
public final class Scenarios {
    private static final AtomicLong NANO = new AtomicLong();

    public static void main(String[] arguments) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "ISO-8859-1")); // what the bridge does to text
        Scenarios.class.getDeclaredMethod(arguments[0]).invoke(null);
    }

    private static StudioListener attached(Studio studio) {
        return attached(studio, 100);
    }

    private static StudioListener attached(Studio studio, int capacity) {
        StudioListener listener = new StudioListener(capacity, NANO::get);
        print(listener.attach(studio));
        return listener;
    }

    private static void print(Object answer) {
        System.out.println(answer);
    }

    static void annotations() throws Exception {
        Class<?> annotation =
                StudioTap.class.getMethod("hear", Object.class).getAnnotation(Subscribe.class).annotationType();
        print(Json.write(annotation.getProtectionDomain().getCodeSource().getLocation().getPath()));
    }

    static void hardware() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        studio.events().post(Events.stage("Z", 3));
        studio.events().post(Events.xy("XY", 1.005, 1.995));
        studio.events().post(Events.exposure("Camera", 12));
        studio.events().post(Events.property("Core", "Shutter", "White Light Shutter"));
        studio.events().post(Events.config("System", ""));
        studio.events().post(Events.unimportant());
        studio.events().post("a text is an event too");
        studio.events().post(Events.live(true));
        studio.events().post(Events.loaded());
        studio.isAcquiring = true;
        print(listener.drain(3));
        print(listener.drain(100));
        print(listener.drain(100));
        print(listener.close());
        studio.events().post(Events.stage("Z", 4));
        print(listener.drain(100));
        print(studio.nListeners);
    }

    static void acquisition() throws Exception {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        Data.Datastore store = new Data.Datastore();
        studio.events().post(Events.started(store, new Data.SequenceSettings()));
        for (int i = 0; i < 20; i++) {
            Data.Metadata metadata = new Data.Metadata(i < 10 ? null : i / 2.0, 2 + 50.0 * i);
            store.post(Events.image(new Data.Image(metadata), new Data.Coords().with("time", i).with("channel", 1)));
        }
        store.post(Events.image(null, null));
        studio.events().post(Events.ended(store));
        store.post(Events.frozen());
        store.finish();
        print(listener.drain(100));
        print(store.nListeners);
        Data.Datastore refusing = new Data.Datastore();
        refusing.refusesListeners = true;
        studio.events().post(Events.started(refusing, null));
        refusing.finish();
        print(listener.drain(100));
    }

    static void overflow() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio, 5);
        for (int i = 0; i < 8; i++) {
            studio.events().post(Events.stage("Z", i));
        }
        studio.events().post(Events.ended(null));
        print(listener.drain(100));
        studio.events().post(Events.stage("Z", 8));
        print(listener.drain(100));
    }

    static void raising() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        studio.events().post(Events.raisingXY("XY"));
        studio.events().post(Events.property("Camera", null, null));
        print(listener.drain(100));
    }

    static void text() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        studio.events().post(Events.property("显微镜", "\u00b5m \ud83d\udd2c", "\"@\\\n\u0000\u007f</b>"));
        print(listener.drain(100));
        print(listener.state());
    }

    static void core() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        print(listener.state());
        print(listener.describe());
        for (String property : new String[] {
            "Gain", "@position", "@x", "@y", "@exposure", "@roi", "@pixel_size", "@preset Channel"
        }) {
            print(listener.read("Camera", property));
        }
        print(listener.read("Dead", "Gain"));
        print(studio.core.nWrappersAlive);
    }

    static void unattached() {
        StudioListener listener = new StudioListener();
        print(listener.drain(1));
        print(listener.state());
        print(listener.attach("no Studio at all"));
        print(listener.close());
    }

    /** One reader inside the core: closing must wait for exactly that. */
    static void shutdownWaits() throws Exception {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch isInside = new CountDownLatch(1);
        CountDownLatch mayLeave = new CountDownLatch(1);
        studio.core.inside = () -> {
            isInside.countDown();
            awaitQuietly(mayLeave);
        };
        Thread reader = new Thread(() -> {
            listener.read("Camera", "Gain");
            order.add("read");
        });
        reader.start();
        isInside.await();
        Thread closer = new Thread(() -> {
            studio.events().post(new Events.Shutdown());
            order.add("closed");
            studio.core.delete();
        });
        closer.start();
        while (closer.isAlive() && closer.getState() != Thread.State.TIMED_WAITING) {
            Thread.yield();
        }
        order.add("closing waits");
        print(listener.drain(100)); // is answered meanwhile, and knows
        mayLeave.countDown();
        reader.join();
        closer.join();
        print(Json.write(order.get(0)));
        print(studio.core.wouldHaveCrashed);
        print(listener.state());
        print(listener.read("Camera", "Gain"));
        print(listener.describe());
    }

    /** Pollers flat out while Studio closes and deletes its core at once. */
    static void shutdownUnderContention() throws Exception {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        studio.core.inside = Thread::yield;
        AtomicInteger nStates = new AtomicInteger();
        List<String> last = Collections.synchronizedList(new ArrayList<>());
        List<Thread> pollers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Thread poller = new Thread(() -> {
                String answer = listener.state();
                while (!answer.contains("\"error\"")) {
                    nStates.incrementAndGet();
                    answer = listener.state();
                }
                last.add(answer);
            });
            pollers.add(poller);
            poller.start();
        }
        while (nStates.get() < 500) {
            Thread.yield();
        }
        studio.events().post(new Events.Shutdown());
        studio.core.delete();
        for (Thread poller : pollers) {
            poller.join();
        }
        print(studio.core.wouldHaveCrashed);
        last.forEach(Scenarios::print);
    }

    static void shutdownCancelled() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        Events.Shutdown shutdown = new Events.Shutdown();
        studio.events().post(shutdown);
        print(listener.state());
        shutdown.isCanceled = true;
        print(listener.state());
        studio.events().post(new Events.Shutdown()); // abandoned in a dialog: no event says so
        studio.events().post(Events.live(false));
        print(listener.state());
        studio.events().post(Events.live(true));
        print(listener.state());
    }

    static void forgotten() {
        Studio studio = new Studio();
        StudioListener listener = attached(studio);
        NANO.addAndGet(599_000_000_000L);
        studio.events().post(Events.stage("Z", 1));
        print(studio.nListeners);
        NANO.addAndGet(2_000_000_000L);
        studio.events().post(Events.stage("Z", 2));
        print(studio.nListeners);
        print(listener.drain(100));
        print(listener.attach(studio));
        studio.events().post(Events.stage("Z", 3));
        print(listener.drain(100));
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }
}
