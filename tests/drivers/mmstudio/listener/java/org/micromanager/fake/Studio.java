package org.micromanager.fake;

import com.google.common.eventbus.EventBus;

/** As much of a Studio as the listener calls, with the true event bus. Its parts are not public, as some of Studio's. */
public final class Studio {
    private final EventBus bus = new EventBus("studio");
    public final Core core = new Core();
    public volatile boolean isAcquiring;
    public volatile int nListeners;

    public interface EventManager {
        void registerForEvents(Object listener);
        void unregisterForEvents(Object listener);
        void post(Object event);
    }

    public EventManager events() {
        return new EventManager() {
            public void registerForEvents(Object listener) { bus.register(listener); nListeners++; }
            public void unregisterForEvents(Object listener) { bus.unregister(listener); nListeners--; }
            public void post(Object event) { bus.post(event); }
        };
    }

    class Acquisitions {
        public boolean isAcquisitionRunning() { return isAcquiring; }
        public boolean isPaused() { return false; }
    }

    class Live {
        public boolean getIsLiveModeOn() { return false; }
    }

    class Cache {
        public double getStageX() { return 1; }
        public double getStageY() { return 2; }
        public double getStageZ() { throw new IllegalStateException("no focus drive"); }
        public double getPixelSizeUm() { return 0.5; }
    }

    class Compatibility {
        public String getVersion() { return "2.0.3"; }
    }

    public Object acquisitions() { return new Acquisitions(); }
    public Object live() { return new Live(); }
    public Object cache() { return new Cache(); }
    public Object compat() { return new Compatibility(); }
    public String getSysConfigFile() { return "C:/MM/MMConfig.cfg"; }
    public Core core() { return core.isDeleted ? null : core; }
}
