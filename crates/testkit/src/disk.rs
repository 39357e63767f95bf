//! Disks that fail in chosen ways: one whose power is cut, one that is full. Both need root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use crate::{Process, Scratch, wait};

/// How long a disk may take to come to rest.
const COPY_WITHIN: Duration = Duration::from_secs(30);

/// Says that a fault test cannot run here, and what it lacks.
///
/// # Panics
/// Unless we are root.
#[track_caller]
pub fn needs_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test mounts file systems and needs root; `sudo -E cargo xtask test` has it"
    );
}

/// An ext4 file system in an image on a loop device, to lose its power.
///
/// The image file holds exactly what the kernel has flushed to the device. [`Powered::cut`]
/// copies it while the program is stopped: what was written and not synced is not in the copy.
#[derive(Debug)]
pub struct Powered {
    scratch: Scratch,
    mounted: Mounted,
    cuts: u32,
}

impl Powered {
    /// A new, empty file system of `size_mib` MiB.
    ///
    /// # Panics
    /// Without root, loop devices or `mkfs.ext4` (Debian: e2fsprogs, mount).
    #[must_use]
    pub fn new(size_mib: u64) -> Self {
        needs_root();
        let scratch = Scratch::new();
        let image = scratch.join("disk.img");
        let file = std::fs::File::create(&image).expect("a scratch folder can be written");
        file.set_len(size_mib * 1024 * 1024).expect("a sparse file");
        drop(file);
        told(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        let mounted = Mounted::image(&image, scratch.join("mnt"));
        Self { scratch, mounted, cuts: 0 }
    }

    /// The root of the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted.point
    }

    /// Cuts the power under `process`, which keeps its data here: it is stopped in the middle of
    /// whatever it does, the disk is copied as it is, and the process is killed. The answer is
    /// the copy, mounted as after the next start of the machine.
    ///
    /// A power cut is one moment and a copy takes some time, so the copy is made again for as long
    /// as the device was written to meanwhile: by a sync that a stopped thread still had in the
    /// kernel, or by the kernel's own writers.
    ///
    /// # Panics
    /// When the copy cannot be made or mounted, or the device does not come to rest.
    #[must_use]
    pub fn cut(&mut self, process: &mut Process) -> AfterCut {
        process.signal_group(Signal::SIGSTOP);
        self.cuts += 1;
        let image = self.scratch.join(format!("cut-{}.img", self.cuts));
        wait::until("a copy during which nothing was written", COPY_WITHIN, || {
            let before = self.mounted.writes();
            told(
                Command::new("cp")
                    .args(["--sparse=always"])
                    .arg(self.scratch.join("disk.img"))
                    .arg(&image),
            );
            before.in_flight == 0 && self.mounted.writes() == before
        });
        process.signal_group(Signal::SIGKILL);
        AfterCut {
            mounted: Mounted::image(&image, self.scratch.join(format!("cut-{}", self.cuts))),
        }
    }
}

/// What was on the disk when its power was cut. To be dropped before its [`Powered`].
#[derive(Debug)]
pub struct AfterCut {
    mounted: Mounted,
}

impl AfterCut {
    /// The root of the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted.point
    }
}

/// A file system in memory that is full after so many bytes.
#[derive(Debug)]
pub struct Small {
    mounted: Mounted,
    _scratch: Scratch,
}

impl Small {
    /// One of `size_kib` KiB.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn new(size_kib: u64) -> Self {
        needs_root();
        let scratch = Scratch::new();
        let point = scratch.join("mnt");
        std::fs::create_dir(&point).expect("a scratch folder can be written");
        let size = format!("size={size_kib}k");
        mount(Some("tmpfs"), &point, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("a tmpfs can be mounted");
        Self { mounted: Mounted { point, device: None }, _scratch: scratch }
    }

    /// The root of the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted.point
    }

    /// Fills what is left. Dropping the answer makes room again.
    ///
    /// # Panics
    /// When the file system cannot be written for another reason than being full.
    #[must_use]
    pub fn fill(&self) -> Filler {
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("the filler can be made");
        // Large steps first, so that the last byte is taken too.
        for step in [64 * 1024, 4096, 1] {
            let block = vec![0_u8; step];
            while std::io::Write::write_all(&mut file, &block).is_ok() {}
        }
        Filler { path }
    }
}

/// The file that takes all the room of a [`Small`].
#[derive(Debug)]
pub struct Filler {
    path: PathBuf,
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Debug)]
struct Mounted {
    point: PathBuf,
    device: Option<String>,
}

/// What a device has been asked to write, from its counters in /sys.
#[derive(Debug, PartialEq, Eq)]
struct Writes {
    done: u64,
    flushed: u64,
    in_flight: u64,
}

impl Mounted {
    /// What the device has been asked to write so far.
    fn writes(&self) -> Writes {
        let device = self.device.as_deref().and_then(|path| path.rsplit('/').next());
        let path = format!("/sys/block/{}/stat", device.expect("a disk has a device"));
        let text = std::fs::read_to_string(&path).expect("the kernel counts what devices do");
        let counts: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
        // Documentation/block/stat.rst: writes, in flight, flushes.
        let count = |at: usize| counts.get(at).copied().unwrap_or_default();
        Writes { done: count(4), in_flight: count(8), flushed: count(15) }
    }

    fn image(image: &Path, point: PathBuf) -> Self {
        std::fs::create_dir(&point).expect("a scratch folder can be written");
        let device = told(Command::new("losetup").args(["-f", "--show"]).arg(image));
        let mounted = Self { point, device: Some(device.clone()) };
        mount(Some(device.as_str()), &mounted.point, Some("ext4"), MsFlags::empty(), None::<&str>)
            .unwrap_or_else(|error| panic!("{device} cannot be mounted: {error}"));
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a process that a failing test has left behind must not keep the device.
        let _ = umount2(&self.point, MntFlags::MNT_DETACH);
        if let Some(device) = &self.device {
            let _ = Command::new("losetup").args(["-d", device]).status();
        }
    }
}

/// Runs a program that has to succeed and returns what it said.
#[track_caller]
fn told(command: &mut Command) -> String {
    let answer = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start ({error}): is it installed?"));
    assert!(
        answer.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&answer.stderr)
    );
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_power_cut_only_what_was_synced_is_there() {
        let mut disk = Powered::new(64);
        let script = "cd \"$0\" && echo kept > synced && sync synced && sync . \
                      && echo lost > unsynced && echo ready && sleep 100";
        let mut process = Process::start(Command::new("sh").args(["-c", script]).arg(disk.path()));
        process.line_with("ready", Duration::from_secs(30));
        let after = disk.cut(&mut process);
        assert_eq!(std::fs::read_to_string(after.path().join("synced")).unwrap(), "kept\n");
        // The name may have reached the journal; the bytes were only in memory.
        let unsynced = std::fs::read_to_string(after.path().join("unsynced")).unwrap_or_default();
        assert_eq!(unsynced, "");
        assert_eq!(std::fs::read_to_string(disk.path().join("unsynced")).unwrap(), "lost\n");
    }

    #[test]
    fn a_full_disk_is_full_and_has_room_again() {
        let disk = Small::new(64);
        let filler = disk.fill();
        let error = std::fs::write(disk.path().join("a"), "one more byte").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        drop(filler);
        std::fs::write(disk.path().join("a"), "room").unwrap();
    }

    #[test]
    fn a_disk_leaves_neither_mount_nor_device() {
        let disk = Powered::new(16);
        let point = disk.path().to_string_lossy().into_owned();
        let mounts = || std::fs::read_to_string("/proc/mounts").unwrap();
        assert!(mounts().contains(&point));
        drop(disk);
        assert!(!mounts().contains(&point));
    }
}
