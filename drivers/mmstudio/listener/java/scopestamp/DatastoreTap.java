package scopestamp;

import com.google.common.eventbus.AllowConcurrentEvents;
import com.google.common.eventbus.Subscribe;
import java.lang.ref.WeakReference;

/** Hears the datastore of one acquisition. */
public final class DatastoreTap {
    private final StudioTap studio;
    private final WeakReference<Object> datastore; // a tap must not keep a day of images in memory
    final int acquisition;

    DatastoreTap(StudioTap studio, Object datastore, int acquisition) {
        this.studio = studio;
        this.datastore = new WeakReference<>(datastore);
        this.acquisition = acquisition;
    }

    @Subscribe
    @AllowConcurrentEvents
    public void hear(Object event) {
        studio.hearDatastore(this, event);
    }

    boolean isOf(Object candidate) {
        return candidate != null && datastore.get() == candidate;
    }

    Object get(String path) throws Exception {
        Object store = datastore.get();
        return store == null ? null : Reflected.follow(store, path);
    }

    void register() throws Exception {
        Object store = datastore.get();
        if (store != null) {
            Reflected.call(store, "registerForEvents", this);
        }
    }

    void unregister() {
        Object store = datastore.get();
        try {
            if (store != null) {
                Reflected.call(store, "unregisterForEvents", this);
            }
        } catch (Exception alreadyOff) {
            return;
        }
    }
}
