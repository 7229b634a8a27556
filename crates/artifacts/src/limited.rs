//! Artifacts of a folder within limits: a size for all of them, bytes of the disk that are to stay free, and a time
//! without use. The least recently used are removed first. What it keeps only saves time, so it may always be removed.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::{ArtifactKey, Error, LocalArtifacts, Manifest, NamedFile, StoredArtifact};

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most bytes of all artifacts together.
    pub most_bytes: u64,
    /// Bytes of the folder's disk that are to stay free.
    pub spare_bytes: u64,
}

/// Artifacts in a folder, of which the least recently used are removed. All methods block.
#[derive(Debug)]
pub struct LimitedArtifacts {
    store: LocalArtifacts,
    limits: Limits,
    /// Held while artifacts are removed.
    tidying: Mutex<()>,
}

impl LimitedArtifacts {
    /// Opens the folder, and removes what writers have left that are gone, what cannot be read, and what is too much.
    /// Nothing else may be kept in the folder.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, Error> {
        let store = LocalArtifacts::open(folder)?;
        store.remove_left_over();
        let removed = store.remove_unreadable()?;
        if removed > 0 {
            tracing::warn!(folder = %folder.display(), files = removed, "removed what is damaged or of an older version");
        }
        let limited = Self { store, limits, tidying: Mutex::new(()) };
        limited.tidy()?;
        Ok(limited)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// Returns the size of all artifacts in bytes.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn bytes(&self) -> Result<u64, Error> {
        Ok(self.store.by_last_use()?.iter().map(|artifact| artifact.size_bytes).sum())
    }

    /// Stores the files under `key`, like [`crate::ArtifactStore::put`], and removes what is too much then.
    ///
    /// # Errors
    /// As for [`crate::ArtifactStore::put`].
    pub fn put(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<(), Error> {
        self.store.put_now(key, files)?;
        self.tidy()
    }

    /// Places files of an artifact, like [`crate::ArtifactStore::place`].
    ///
    /// # Errors
    /// As for [`crate::ArtifactStore::place`].
    pub fn place(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Option<Manifest>, Error> {
        self.store.place_now(key, files)
    }

    /// Removes the least recently used artifacts until the disk has its spare bytes free, which `free_bytes` tells, or
    /// nothing is left that frees bytes. Returns the bytes freed.
    ///
    /// # Errors
    /// Fails on a disk error, or if `free_bytes` does.
    pub fn keep_room(&self, free_bytes: impl Fn() -> std::io::Result<u64>) -> Result<u64, Error> {
        let is_enough = || Ok(free_bytes()? >= self.limits.spare_bytes);
        self.make_room(|| is_enough().map_err(|error| Error::disk(self.folder(), error)))
    }

    /// Removes every artifact that frees bytes. Returns the bytes freed.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn give_up(&self) -> Result<u64, Error> {
        self.make_room(|| Ok(false))
    }

    /// Removes the artifacts that nobody used for this long. Returns the bytes freed. One whose last use lies in the
    /// future stays.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn expire(&self, age: Duration) -> Result<u64, Error> {
        let _one = self.alone();
        let now = SystemTime::now();
        let is_old = |artifact: &StoredArtifact| {
            now.duration_since(artifact.last_used).is_ok_and(|unused| unused > age)
        };
        let mut freed = 0;
        for artifact in self.store.by_last_use()?.into_iter().filter(is_old) {
            self.store.remove_now(&artifact.key)?;
            freed += artifact.freed_bytes;
        }
        Ok(freed)
    }

    /// Removes the least recently used artifacts until the rest has the right size.
    fn tidy(&self) -> Result<(), Error> {
        let _one = self.alone();
        let artifacts = self.store.by_last_use()?;
        let mut bytes: u64 = artifacts.iter().map(|artifact| artifact.size_bytes).sum();
        for artifact in artifacts {
            if bytes <= self.limits.most_bytes {
                break;
            }
            self.store.remove_now(&artifact.key)?;
            bytes -= artifact.size_bytes;
        }
        Ok(())
    }

    fn make_room(&self, is_enough: impl Fn() -> Result<bool, Error>) -> Result<u64, Error> {
        let _one = self.alone();
        let mut freed = 0;
        if is_enough()? {
            return Ok(freed);
        }
        for artifact in self.store.by_last_use()?.into_iter().filter(|artifact| artifact.freed_bytes > 0) {
            self.store.remove_now(&artifact.key)?;
            freed += artifact.freed_bytes;
            if is_enough()? {
                break;
            }
        }
        Ok(freed)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.tidying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::FileName;

    const NO_LIMITS: Limits = Limits { most_bytes: 1000, spare_bytes: 0 };

    struct Kept {
        folder: tempfile::TempDir,
        artifacts: LimitedArtifacts,
    }

    fn key(name: &str) -> ArtifactKey {
        ArtifactKey::of(name.as_bytes())
    }

    impl Kept {
        fn new(limits: Limits) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let artifacts = LimitedArtifacts::open(&folder.path().join("kept"), limits).unwrap();
            Self { folder, artifacts }
        }

        fn place_of(&self, name: &str) -> std::path::PathBuf {
            self.artifacts.folder().join(key(name).to_string())
        }

        fn files(&self, path: &str) -> [NamedFile; 1] {
            [NamedFile { name: FileName::new("video").unwrap(), path: self.folder.path().join(path) }]
        }

        /// Keeps an artifact of 40 bytes that was used so many seconds ago.
        fn put(&self, name: &str, age_s: u64) {
            let files = self.files("source");
            std::fs::write(&files[0].path, [7; 40]).unwrap();
            self.artifacts.put(&key(name), &files).unwrap();
            std::fs::remove_file(&files[0].path).unwrap();
            if let Ok(kept) = File::open(self.place_of(name)) {
                kept.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
            }
        }

        fn are_there<const COUNT: usize>(&self, names: [&str; COUNT]) -> [bool; COUNT] {
            names.map(|name| self.place_of(name).exists())
        }
    }

    #[test]
    fn least_recently_used_artifact_goes_first() {
        let kept = Kept::new(Limits { most_bytes: 100, spare_bytes: 0 });
        for (name, age_s) in [("old", 90), ("older", 100), ("new", 1)] {
            kept.put(name, age_s);
        }
        assert_eq!(kept.are_there(["older", "old", "new"]), [false, true, true]);
        assert!(kept.artifacts.place(&key("old"), &kept.files("again")).unwrap().is_some());
        kept.put("newest", 0);
        assert_eq!(kept.are_there(["old", "new", "newest"]), [true, false, true], "it was used since");
        assert_eq!(kept.artifacts.bytes().unwrap(), 80);
    }

    #[test]
    fn opening_removes_what_is_too_much() {
        let kept = Kept::new(NO_LIMITS);
        for (name, age_s) in [("old", 90), ("older", 100), ("new", 1)] {
            kept.put(name, age_s);
        }
        let limits = Limits { most_bytes: 80, spare_bytes: 0 };
        let reopened = LimitedArtifacts::open(kept.artifacts.folder(), limits).unwrap();
        assert_eq!(
            kept.are_there(["older", "old", "new"]),
            [false, true, true],
            "just the limit is not too much"
        );
        assert_eq!(reopened.bytes().unwrap(), 80);
    }

    #[test]
    fn unused_artifacts_go_after_their_time() {
        let kept = Kept::new(NO_LIMITS);
        for (name, age_s) in [("old", 90), ("new", 10), ("future", 0)] {
            kept.put(name, age_s);
        }
        let future = File::open(kept.place_of("future")).unwrap();
        future.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
        assert_eq!(kept.artifacts.expire(Duration::from_secs(60)).unwrap(), 40);
        assert_eq!(kept.are_there(["old", "new", "future"]), [false, true, true]);
    }

    #[test]
    fn full_disk_removes_only_as_much_as_needed() {
        let kept = Kept::new(NO_LIMITS);
        for (name, age_s) in [("old", 90), ("older", 100), ("oldest", 110), ("new", 1)] {
            kept.put(name, age_s);
        }
        assert!(kept.artifacts.place(&key("oldest"), &kept.files("in use")).unwrap().is_some());
        let oldest = File::open(kept.place_of("oldest")).unwrap();
        oldest.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // A disk with space for 200 bytes.
        let free = || Ok(200 - kept.artifacts.bytes().unwrap());
        let needs = |spare_bytes| LimitedArtifacts {
            store: kept.artifacts.store.clone(),
            limits: Limits { spare_bytes, ..NO_LIMITS },
            tidying: Mutex::default(),
        };
        assert_eq!(needs(40).keep_room(free).unwrap(), 0, "there is enough space");
        assert_eq!(needs(70).keep_room(free).unwrap(), 40);
        let names = ["oldest", "older", "old", "new"];
        assert_eq!(kept.are_there(names), [true, false, true, true], "removing what is in use frees nothing");
        assert_eq!(kept.artifacts.give_up().unwrap(), 80);
        assert_eq!(kept.are_there(names), [true, false, false, false]);
    }

    #[test]
    fn opening_removes_what_cannot_be_read() {
        let kept = Kept::new(NO_LIMITS);
        for name in ["whole", "cut off"] {
            kept.put(name, 0);
        }
        std::fs::write(kept.place_of("cut off").join("manifest.json"), "{").unwrap();
        let older = kept.place_of("of an older version");
        std::fs::create_dir(&older).unwrap();
        std::fs::write(older.join("video.mp4"), "v").unwrap();
        let left_over = kept.artifacts.folder().join("left over.partial");
        std::fs::create_dir(&left_over).unwrap();
        LimitedArtifacts::open(kept.artifacts.folder(), NO_LIMITS).unwrap();
        assert_eq!(kept.are_there(["whole", "cut off", "of an older version"]), [true, false, false]);
        assert!(!left_over.exists());
    }
}
