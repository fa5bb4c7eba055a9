//! A disk that is small enough to be filled.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::run;

/// A file system of its own in memory; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of `mebibytes`. Mounting takes root, or a `sudo` that does not ask.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(mebibytes: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
        let disk = Self { folder };
        let size = format!("size={mebibytes}m,mode=0700,uid={}", rustix::process::geteuid().as_raw());
        let said = run(as_root("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path()))?;
        ensure!(said.code == 0, "mounting a small disk takes root or sudo: {said:?}");
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// When it does not fill up.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        let block = vec![7; 64 << 10];
        loop {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("filling the disk"),
            }
        }
    }

    /// Fills it but for so many mebibytes.
    ///
    /// # Errors
    /// When it cannot be written to, or holds more already.
    pub fn leave(&self, mebibytes: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(self.path())?;
        let free = stat.f_bavail * stat.f_frsize;
        let taken = free.checked_sub(mebibytes << 20).context("it is fuller than that")?;
        let mut file = File::create(self.filler())?;
        std::io::copy(&mut std::io::repeat(7).take(taken), &mut file)?;
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the filler cannot be removed.
    pub fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still has a file open must not keep the test from ending.
        let _ = as_root("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", program]);
    sudo
}
