package org.micromanager.fake;

import java.awt.Rectangle;
import java.awt.geom.Point2D;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** A core that can be deleted. A call that is inside when that happens, or comes later, is what crashes Studio. */
public class Core {
    public enum DeviceType { CameraDevice, StateDevice, XYStageDevice }
    public enum PropertyType { String, Float, Integer }

    public volatile boolean isDeleted;
    public volatile boolean wouldHaveCrashed;
    public final AtomicInteger nWrappersAlive = new AtomicInteger();
    /** Runs in the middle of a call. */
    public volatile Runnable inside = () -> {};

    private void use() {
        wouldHaveCrashed |= isDeleted;
        inside.run();
        wouldHaveCrashed |= isDeleted;
    }

    public void delete() { isDeleted = true; }

    public final class PropertySetting {
        private final String[] parts;

        PropertySetting(String... parts) {
            this.parts = parts;
            nWrappersAlive.incrementAndGet();
        }

        public String getDeviceLabel() { use(); return parts[0]; }
        public String getPropertyName() { return parts[1]; }
        public String getPropertyValue() { return parts[2]; }
        public synchronized void delete() { nWrappersAlive.decrementAndGet(); }
    }

    public final class Configuration {
        private final String[][] settings;

        Configuration(String[]... settings) {
            this.settings = settings;
            nWrappersAlive.incrementAndGet();
        }

        public long size() { return settings.length; }
        public PropertySetting getSetting(long i) { return new PropertySetting(settings[(int) i]); }
        public PropertySetting getSetting(String device, String property) { throw new AssertionError("not this one"); }
        public synchronized void delete() { nWrappersAlive.decrementAndGet(); }
    }

    public Configuration getSystemStateCache() {
        use();
        return new Configuration(
                new String[] {"Camera", "Gain", "0"},
                new String[] {"Objective", "Label", "Nikon 10X=S:Fluor<br>\n"},
                new String[] {"Objective", "State", "1"});
    }

    public String getVersionInfo() { use(); return "MMCore version 12.5.0"; }
    public String getAPIVersionInfo() { return "Device API version 75"; }
    public List<String> getLoadedDevices() { return Arrays.asList("Camera", "Objective", "Dead"); }
    public List<String> getAvailableConfigGroups() { return Arrays.asList("Channel"); }
    public List<String> getAvailableConfigs(String group) { return Arrays.asList("DAPI", "蓝"); }
    public String getCurrentConfigFromCache(String group) { return "蓝"; }
    public String getCurrentConfig(String group) { return "DAPI in " + group; }
    public Configuration getConfigData(String group, String name) {
        return new Configuration(new String[] {"Objective", "State", "1"});
    }
    public List<String> getAvailablePixelSizeConfigs() { return Arrays.asList("Res10x"); }
    public double getPixelSizeUmByID(String name) { return 1.0; }
    public double getPixelSizeUm() { return 0.5; }
    public double getPixelSizeUm(boolean isCached) { throw new AssertionError("not this one"); }
    public String getCameraDevice() { return "Camera"; }
    public String getXYStageDevice() { return "XY"; }
    public String getFocusDevice() { return ""; }
    public String getShutterDevice() { return ""; }
    public boolean getAutoShutter() { return true; }
    public int getRemainingImageCount() { return 0; }

    public DeviceType getDeviceType(String label) throws Exception {
        use();
        if (label.equals("Dead")) {
            throw new Exception("No device with label \"Dead\"");
        }
        return label.equals("Camera") ? DeviceType.CameraDevice : DeviceType.StateDevice;
    }
    public String getDeviceLibrary(String label) { return "DemoCamera"; }
    public String getDeviceName(String label) { return "D" + label; }
    public String getDeviceDescription(String label) { return "Demo"; }
    public String getParentLabel(String label) { return "DHub"; }
    public List<String> getStateLabels(String label) { return Arrays.asList("10X", "20X"); }
    public List<String> getDevicePropertyNames(String label) {
        return Arrays.asList(label.equals("Camera") ? "Gain" : "State");
    }
    public PropertyType getPropertyType(String label, String name) { return PropertyType.Integer; }
    public boolean isPropertyReadOnly(String label, String name) { return false; }
    public boolean isPropertyPreInit(String label, String name) { return false; }
    public boolean isPropertySequenceable(String label, String name) { return true; }
    public boolean hasPropertyLimits(String label, String name) { return name.equals("Gain"); }
    public double getPropertyLowerLimit(String label, String name) { return -5; }
    public double getPropertyUpperLimit(String label, String name) { return 8; }
    public List<String> getAllowedPropertyValues(String label, String name) {
        return name.equals("Gain") ? Arrays.asList() : Arrays.asList("0", "1");
    }

    public String getProperty(String label, String name) throws Exception {
        use();
        if (label.equals("Dead")) {
            throw new Exception("Error in device \"Dead\": 没有反应");
        }
        return label + "-" + name;
    }
    public double getPosition(String label) { return 12.5; }
    public double getPosition() { throw new AssertionError("not this one"); }
    public Point2D.Double getXYStagePosition(String label) { return new Point2D.Double(1.5, -2.5); }
    public double getExposure(String label) { return 10; }
    public Rectangle getROI(String label) { return new Rectangle(1, 2, 30, 40); }
}
