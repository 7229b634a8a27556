//! Films that tasks read. Of a plain MP4 or MOV file a task gets the index and the bytes of its own run, in a file with
//! holes; any other file is fetched whole, once a machine.
//!
//! ffmpeg makes the same frames of such a file as of the whole one, and needs no network.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use abanico_package::{BOX_HEADER_BYTES, MovieIndex, TimeRun, TopLevelBox, TopLevelUse};
use abanico_store::{Error, FillOptions, Filled, MOST_RANGE_BYTES, ObjectMeta, ObjectStore, ObjectUrl, fill};
use bytes::Bytes;
use tokio::task::spawn_blocking;

/// How much is read at the start of a file: often the whole index of a short film.
const FIRST_BYTES: u64 = 64 << 10;
/// How much is read where a box begins.
const NEXT_BYTES: u64 = 4 << 10;
/// More boxes than this at the top level are no film's.
const MOST_BOXES: usize = 100;
/// How often another process is asked whether it has fetched a film.
const ASK_EVERY: Duration = Duration::from_millis(100);
const LOCK: &str = "lock";

/// How a film can be read.
#[derive(Clone, Debug)]
pub enum Source {
    /// In ranges.
    InRanges(RangedSource),
    /// Only whole, by [`WholeSources`].
    Whole {
        /// The object as it is now.
        object: ObjectMeta,
        /// Why, for the log.
        why: String,
    },
}

/// A film that is read in ranges. It has the film's index in memory, so share it among a film's tasks.
#[derive(Clone, Debug)]
pub struct RangedSource {
    object: ObjectMeta,
    index: Arc<MovieIndex>,
    /// The bytes that were read to find and read the index, with their positions.
    known: Arc<Vec<(u64, Bytes)>>,
}

/// Reads the boxes at the top level of a file.
struct Reader<'a> {
    store: &'a dyn ObjectStore,
    object: &'a ObjectMeta,
    known: Vec<(u64, Bytes)>,
}

/// Why a film is not read in ranges: it cannot be, or the store failed.
enum Obstacle {
    Film(abanico_package::Error),
    Store(Error),
}

impl From<abanico_package::Error> for Obstacle {
    fn from(error: abanico_package::Error) -> Self {
        Self::Film(error)
    }
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Source {
    /// Looks how the film at `url` can be read: reads its boxes at the top level, and its index if it is a plain MP4 or
    /// MOV file. That takes a few requests; each failure that may pass is tried again by the store only.
    ///
    /// # Errors
    /// Returns [`abanico_store::ErrorKind::NotFound`] if there is no such object, and the rest as
    /// [`ObjectStore::read_range`].
    pub async fn open(store: &dyn ObjectStore, url: &ObjectUrl) -> Result<Self, Error> {
        let object = store.stat(url).await?;
        let mut reader = Reader { store, object: &object, known: Vec::new() };
        match reader.index().await {
            Ok(index) => {
                let (index, known) = (Arc::new(index), Arc::new(reader.known));
                Ok(Self::InRanges(RangedSource { object, index, known }))
            }
            Err(Obstacle::Film(why)) => Ok(Self::Whole { object, why: why.to_string() }),
            Err(Obstacle::Store(error)) => Err(error),
        }
    }

    /// Returns the object as it was when it was opened.
    pub fn object(&self) -> &ObjectMeta {
        match self {
            Self::InRanges(source) => &source.object,
            Self::Whole { object, .. } => object,
        }
    }
}

impl Reader<'_> {
    async fn index(&mut self) -> Result<MovieIndex, Obstacle> {
        let size_bytes = self.object.size_bytes;
        let (mut at, mut moov) = (0, None);
        for number in 0..MOST_BOXES {
            if at >= size_bytes {
                break;
            }
            let read_ahead = if number == 0 { FIRST_BYTES } else { NEXT_BYTES };
            let header = self.bytes(at..size_bytes.min(at + BOX_HEADER_BYTES), read_ahead).await?;
            let found = TopLevelBox::read(at, &header, size_bytes)?;
            let payload = found.place.start + found.header_bytes..found.place.end;
            match found.usage {
                TopLevelUse::Index if moov.is_some() => return Err(odd("it has two indexes")),
                TopLevelUse::Index => moov = Some(self.bytes(payload, 0).await?),
                TopLevelUse::Whole => drop(self.bytes(payload, 0).await?),
                TopLevelUse::HeaderOnly => {}
            }
            at = found.place.end;
        }
        match moov {
            _ if at < size_bytes => Err(odd("it has too many boxes at the top level")),
            None => Err(odd("it has no index")),
            Some(moov) => Ok(MovieIndex::read(&moov, size_bytes)?),
        }
    }

    /// Returns these bytes. What has to be fetched for them is at least `read_ahead` long and is remembered.
    async fn bytes(&mut self, wanted: Range<u64>, read_ahead: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut at = wanted.start;
        while at < wanted.end {
            let known = self.known.iter().find_map(|(start, known)| {
                let from = usize::try_from(at.checked_sub(*start)?).ok()?;
                known.get(from..).filter(|rest| !rest.is_empty())
            });
            if let Some(known) = known {
                let length = known.len().min(usize::try_from(wanted.end - at).unwrap_or(usize::MAX));
                bytes.extend_from_slice(&known[..length]);
                at += length as u64;
                continue;
            }
            let end = wanted.end.max(at + read_ahead).min(self.object.size_bytes).min(at + MOST_RANGE_BYTES);
            let tag = self.object.e_tag.as_deref();
            let read = self.store.read_range(&self.object.url, at..end, tag).await?;
            self.known.push((at, read));
        }
        Ok(bytes)
    }
}

fn odd(why: &'static str) -> Obstacle {
    abanico_package::Error::Track { why }.into()
}

impl RangedSource {
    /// Returns the object as it was when it was opened.
    pub fn object(&self) -> &ObjectMeta {
        &self.object
    }

    /// Returns the number of bytes that were read when the film was opened: those of its index above all.
    pub fn known_bytes(&self) -> u64 {
        self.known.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Returns the ranges that [`Self::fetch`] asks for, so that a caller can compare them with the whole film.
    pub fn requests(&self, run: &TimeRun, options: &FillOptions) -> Vec<Range<u64>> {
        options.requests(&self.index.needed(run), self.object.size_bytes)
    }

    /// Makes the file `destination`, which must not exist yet, with the bytes that reading this run needs. If the
    /// future fails or is dropped, it is removed. Its times must be those of the file's own clock: ffmpeg counts `-ss`
    /// from the start of that clock.
    ///
    /// # Errors
    /// Returns [`abanico_store::ErrorKind::Changed`] if the object was replaced since it was opened, and the rest as
    /// [`fill`].
    pub async fn fetch(
        &self,
        store: &dyn ObjectStore,
        run: &TimeRun,
        destination: &Path,
        options: &FillOptions,
    ) -> Result<Filled, Error> {
        let needed = self.index.needed(run);
        fill(store, &self.object, &needed, &self.known, destination, options).await
    }
}

/// Whole films in a folder of this machine, each fetched once for all tasks and processes.
#[derive(Clone, Debug)]
pub struct WholeSources {
    folder: Arc<PathBuf>,
    /// One film is fetched by one task of this process.
    turns: Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl WholeSources {
    /// Opens the folder, and creates it if it does not exist. Nothing else may be kept in it. Blocking.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: Arc::new(folder.to_owned()), turns: Arc::default() })
    }

    /// Makes the object's bytes available as the file `destination`, which must not exist yet. It may be a hard link:
    /// read it, but never write to it. The first caller fetches the object, the others wait. An object without an
    /// entity tag is fetched each time, because nobody could tell whether it is still the same.
    ///
    /// If the future fails or is dropped, a partial `destination` may remain, as after [`ObjectStore::fetch`].
    ///
    /// # Errors
    /// Returns [`abanico_store::ErrorKind::Changed`] if the object is no longer the one that `object` describes, and the
    /// rest as [`ObjectStore::fetch`].
    pub async fn place(
        &self,
        store: &dyn ObjectStore,
        object: &ObjectMeta,
        destination: &Path,
    ) -> Result<(), Error> {
        let url = &object.url;
        let Some(e_tag) = &object.e_tag else { return store.fetch(url, destination).await.map(drop) };
        let identity = format!("{url}\n{e_tag}\n{}", object.size_bytes);
        let name = blake3::hash(identity.as_bytes()).to_hex().to_string();
        let kept = self.folder.join(&name);
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(name.clone()).or_default().clone()
        };
        let _turn = turn.lock().await;
        if linked(url, &kept, destination).await? {
            return Ok(());
        }
        let _lock = self.locked(url, &name).await?;
        if linked(url, &kept, destination).await? {
            return Ok(());
        }
        // A process that was killed may have left it.
        let partial = self.folder.join(format!("{name}.partial"));
        match tokio::fs::remove_file(&partial).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::unavailable(url, error));
            }
            _ => {}
        }
        let fetched = store.fetch(url, &partial).await?;
        if (fetched.size_bytes, &fetched.e_tag) != (object.size_bytes, &object.e_tag) {
            let _ = tokio::fs::remove_file(&partial).await;
            return Err(Error::object_changed(url));
        }
        tokio::fs::rename(&partial, &kept).await.map_err(|error| Error::unavailable(url, error))?;
        match linked(url, &kept, destination).await? {
            true => Ok(()),
            false => Err(Error::unavailable(url, io::Error::from(io::ErrorKind::NotFound))),
        }
    }

    /// Waits until no other process fetches this film.
    async fn locked(&self, url: &ObjectUrl, name: &str) -> Result<File, Error> {
        let path = self.folder.join(format!("{name}.{LOCK}"));
        loop {
            let path = path.clone();
            let tried = spawn_blocking(move || {
                let file = File::options().create(true).truncate(false).write(true).open(&path)?;
                match file.try_lock() {
                    // Whoever removed unused films may have removed it.
                    Ok(()) => Ok(path.exists().then_some(file)),
                    Err(TryLockError::WouldBlock) => Ok(None),
                    // On a file system without locks, two processes may fetch the same film.
                    Err(TryLockError::Error(_)) => Ok(Some(file)),
                }
            });
            let tried: io::Result<Option<File>> =
                tried.await.map_err(|error| Error::unavailable(url, error))?;
            match tried.map_err(|error| Error::unavailable(url, error))? {
                Some(file) => return Ok(file),
                None => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    /// Removes films that nobody asked for within `age`, and what killed processes have left. Returns the number of
    /// bytes that this frees: a film that a task still has under another name frees nothing yet. Blocking.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn remove_unused(&self, age: Duration) -> io::Result<u64> {
        let mut freed = 0;
        for entry in std::fs::read_dir(&*self.folder)? {
            let path = entry?.path();
            // A film may be a link to somebody else's file, so its own time says nothing.
            let is_unused = match path.with_extension(LOCK).metadata() {
                Ok(lock) => lock.modified()?.elapsed().is_ok_and(|unused| unused >= age),
                Err(_) => true,
            };
            let Some(found) = path.symlink_metadata().ok().filter(|_| is_unused && !is_busy(&path)) else {
                continue;
            };
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ if found.nlink() == 1 => freed += found.len(),
                _ => {}
            }
        }
        Ok(freed)
    }
}

/// Whether a process fetches the film of this file.
fn is_busy(path: &Path) -> bool {
    let lock = path.with_extension(LOCK);
    let tried = File::open(lock).map(|file| file.try_lock());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

/// Gives a film another name and notes that it is used. Returns false if it is not there.
async fn linked(url: &ObjectUrl, kept: &Path, destination: &Path) -> Result<bool, Error> {
    let (kept, destination) = (kept.to_owned(), destination.to_owned());
    let link = spawn_blocking(move || {
        if !kept.exists() {
            return Ok(false);
        }
        // The time only decides what is removed first, so a failure does no harm.
        let lock = File::options().create(true).truncate(false).write(true).open(kept.with_extension(LOCK));
        let _ = lock.and_then(|lock| lock.set_modified(SystemTime::now()));
        match std::fs::hard_link(&kept, &destination) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Across file systems, or with too many links, copy instead.
            Err(_) => {
                let mut source = File::open(&kept)?;
                io::copy(&mut source, &mut File::create_new(&destination)?).map(|_| true)
            }
        }
    });
    let linked = link.await.map_err(|error| Error::unavailable(url, error))?;
    linked.map_err(|error| Error::unavailable(url, error))
}
