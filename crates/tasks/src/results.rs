//! Keeps finished encodes, so that later jobs can link them into place. The key is a hash of everything that
//! determines an encode, such as its settings, its input and the version of ffmpeg. Kept encodes are removed to stay
//! within the size limit, and when a job needs the space.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use abanico_ffmpeg::command::{EncodedFrom, encode_video};
use abanico_plan::{Pass, ScaleSource, VideoEncode};
use abanico_process::WorkPlace;
use serde::Serialize;

use crate::sums::hash_of;

/// A folder of results, each in a subfolder named by its key. The least recently used are removed first.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    most_bytes: u64,
    spare_bytes: u64,
    /// Held while results are removed.
    tidying: Mutex<()>,
    /// How often a result was there, and was not.
    uses: [AtomicU64; 2],
}

/// Name of the folder of results in the engine's folder.
pub const FOLDER: &str = "results";
/// Name of the file with the hashes of a result's files.
const SUMS: &str = "sums";
/// Suffix of the names of results that are not complete yet.
const PARTIAL: &str = ".partial";

/// One complete result.
struct Entry {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
    /// Bytes that removing it frees: a file that a running job has linked elsewhere frees nothing yet.
    own_bytes: u64,
}

impl Results {
    /// Opens the folder and removes incomplete results whose process is gone. Returns `None` if `most_bytes` is 0.
    /// `spare_bytes` of its disk are to stay free.
    pub fn open(folder: &Path, most_bytes: u64, spare_bytes: u64) -> io::Result<Option<Self>> {
        if most_bytes == 0 {
            return Ok(None);
        }
        std::fs::create_dir_all(folder)?;
        partial_results(folder).remove_abandoned();
        let tidying = Mutex::new(());
        let results =
            Self { folder: folder.to_owned(), most_bytes, spare_bytes, tidying, uses: Default::default() };
        results.tidy()?;
        Ok(Some(results))
    }

    /// Returns how often a result was there, and how often not, since the folder was opened.
    pub fn uses(&self) -> (u64, u64) {
        (self.uses[0].load(Ordering::Relaxed), self.uses[1].load(Ordering::Relaxed))
    }

    /// Returns the size of all results. Blocking.
    pub fn bytes(&self) -> u64 {
        self.by_last_use().map_or(0, |entries| entries.iter().map(|entry| entry.bytes).sum())
    }

    /// Returns the folder of the results.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the files of a result in place: `names` pairs each with its destination. If there is no such result, or it
    /// is not what was kept, returns false and leaves nothing in place.
    pub fn take(&self, key: &str, names: &[(&str, PathBuf)]) -> bool {
        let is_taken = self.take_uncounted(key, names);
        self.uses[usize::from(!is_taken)].fetch_add(1, Ordering::Relaxed);
        is_taken
    }

    fn take_uncounted(&self, key: &str, names: &[(&str, PathBuf)]) -> bool {
        let kept = self.folder.join(key);
        match is_whole(&kept, names) {
            Some(true) => {}
            Some(false) => {
                self.remove_damaged(&kept);
                return false;
            }
            None => return false,
        }
        let linked =
            names.iter().take_while(|(name, destination)| link(&kept.join(name), destination).is_ok());
        let linked = linked.count();
        let taken = linked == names.len();
        if taken {
            // The time only decides which result is removed first, so a failure does no harm.
            let _ = File::open(&kept).and_then(|folder| folder.set_modified(SystemTime::now()));
        } else {
            names[..linked].iter().for_each(|(_, destination)| {
                let _ = std::fs::remove_file(destination);
            });
        }
        taken
    }

    fn remove_damaged(&self, kept: &Path) {
        let path = kept.display();
        tracing::warn!(%path, "a kept encode is damaged or of an older version; it is removed, and its video is encoded again");
        let _one = self.tidying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = std::fs::remove_dir_all(kept) {
            tracing::warn!(%path, %error, "cannot remove a damaged encode");
        }
    }

    /// Keeps the files of a finished encode under these names.
    pub fn keep(&self, key: &str, files: &[(&str, PathBuf)]) -> io::Result<()> {
        let kept = self.folder.join(key);
        if kept.exists() {
            return Ok(());
        }
        // Two jobs may keep the same result at the same time, so each writes to a separate folder.
        let partial = partial_results(&self.folder).create()?;
        files.iter().try_for_each(|(name, source)| link(source, &partial.path().join(name)))?;
        let sums = files.iter().map(|(name, source)| Ok(((*name).to_owned(), hash_of(source)?)));
        let sums: BTreeMap<String, String> = sums.collect::<io::Result<_>>()?;
        std::fs::write(partial.path().join(SUMS), serde_json::to_vec(&sums)?)?;
        match std::fs::rename(partial.path(), &kept) {
            // Another task stored the same result first.
            Err(_) if kept.exists() => {}
            other => other?,
        }
        self.tidy()
    }

    /// Removes the least recently used results until the rest fits the size limit.
    fn tidy(&self) -> io::Result<()> {
        let _one = self.tidying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let entries = self.by_last_use()?;
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if bytes <= self.most_bytes {
                break;
            }
            std::fs::remove_dir_all(&entry.path)?;
            bytes -= entry.bytes;
        }
        Ok(())
    }

    /// Removes the least recently used results until the disk has its spare bytes free or nothing is left to remove.
    /// Returns the bytes freed.
    pub fn keep_room(&self) -> io::Result<u64> {
        self.make_room(|| Ok(free_bytes(&self.folder)? >= self.spare_bytes))
    }

    /// Removes every result that frees bytes, because the disk was full, however little was missing. Returns the
    /// bytes freed.
    pub fn give_up(&self) -> io::Result<u64> {
        self.make_room(|| Ok(false))
    }

    /// Removes the results that nobody used for this long. Returns the bytes freed. A result whose last use lies in the
    /// future stays.
    pub fn expire(&self, age: Duration) -> io::Result<u64> {
        let _one = self.tidying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = SystemTime::now();
        let is_old = |entry: &Entry| now.duration_since(entry.used).is_ok_and(|unused| unused > age);
        let mut freed = 0;
        for entry in self.by_last_use()?.into_iter().filter(is_old) {
            std::fs::remove_dir_all(&entry.path)?;
            freed += entry.own_bytes;
        }
        Ok(freed)
    }

    fn make_room(&self, is_enough: impl Fn() -> io::Result<bool>) -> io::Result<u64> {
        let _one = self.tidying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut given_back = 0;
        if is_enough()? {
            return Ok(given_back);
        }
        for entry in self.by_last_use()?.into_iter().filter(|entry| entry.own_bytes > 0) {
            std::fs::remove_dir_all(&entry.path)?;
            given_back += entry.own_bytes;
            if is_enough()? {
                break;
            }
        }
        Ok(given_back)
    }

    /// Returns the complete results, least recently used first.
    fn by_last_use(&self) -> io::Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = finished(&self.folder)?.filter_map(|path| read(path).ok()).collect();
        entries.sort_by_key(|entry| entry.used);
        Ok(entries)
    }
}

/// Returns how many bytes of the folder's disk are free.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stats = nix::sys::statvfs::statvfs(folder)?;
    Ok(stats.blocks_available() * stats.fragment_size())
}

/// Returns where incomplete results are made in the folder of results.
fn partial_results(folder: &Path) -> WorkPlace<'_> {
    WorkPlace { folder, prefix: "", suffix: PARTIAL }
}

fn is_partial(path: &Path) -> bool {
    path.to_string_lossy().ends_with(PARTIAL)
}

/// Returns the folders of complete results.
fn finished(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let paths = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| !is_partial(path)))
}

fn read(path: PathBuf) -> io::Result<Entry> {
    let used = std::fs::metadata(&path)?.modified()?;
    let (mut bytes, mut own_bytes) = (0, 0);
    for file in std::fs::read_dir(&path)? {
        let file = file?;
        if file.file_name() == SUMS {
            continue;
        }
        let file = file.metadata()?;
        bytes += file.len();
        own_bytes += if file.nlink() == 1 { file.len() } else { 0 };
    }
    Ok(Entry { path, used, bytes, own_bytes })
}

/// Returns whether these files of a result are those that were kept; `None` if there is no such result.
fn is_whole(kept: &Path, names: &[(&str, PathBuf)]) -> Option<bool> {
    let written = match std::fs::read(kept.join(SUMS)) {
        Ok(written) => written,
        // Results of older versions have no hashes.
        Err(_) => return kept.exists().then_some(false),
    };
    let Ok(sums) = serde_json::from_slice::<BTreeMap<String, String>>(&written) else { return Some(false) };
    let wanted: Option<Vec<&String>> = names.iter().map(|(name, _)| sums.get(*name)).collect();
    let is_as_kept = |(name, sum): (&(&str, PathBuf), &String)| {
        hash_of(&kept.join(name.0)).is_ok_and(|found| found == *sum)
    };
    Some(names.iter().zip(wanted?).all(is_as_kept))
}

/// Hard-links a file, or copies it and flushes the copy to disk if the file system has no links. Never writes to an
/// existing destination, because it may be a link to another job's file.
fn link(source: &Path, destination: &Path) -> io::Result<()> {
    match std::fs::hard_link(source, destination) {
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists].contains(&error.kind()) => {
            Err(error)
        }
        Err(_) => {
            let mut copied = File::create_new(destination)?;
            io::copy(&mut File::open(source)?, &mut copied)?;
            copied.sync_all()
        }
        Ok(()) => Ok(()),
    }
}

/// Everything that determines one encoded rendition.
#[derive(Serialize)]
struct Origin<'a> {
    /// Increased when abanico processes ffmpeg's files differently, such as its measurements.
    generation: u32,
    /// The ffmpeg command line, with fixed folder names: another version of this program may build a different one
    /// for the same plan.
    command: Vec<String>,
    ffmpeg: &'a str,
    inputs: &'a [String],
    encode: VideoEncode,
    first_passes: &'a [String],
}

/// The inputs of an encode's key apart from its plan.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Version of ffmpeg.
    pub ffmpeg: &'a str,
    /// Hashes of the inputs' bytes, by their indices in the job.
    pub inputs: &'a BTreeMap<u32, String>,
    /// Hashes of the statistics that a second pass reads.
    pub first_passes: &'a [String],
}

/// Returns the key of one encoded rendition. Returns `None` if files are drawn over it, because their contents are
/// not part of the key.
pub fn key(encode: &VideoEncode, index: u32, around: Circumstances<'_>) -> Option<String> {
    key_when_told(encode, index, around, |encode| {
        let from = EncodedFrom {
            inputs: &[PathBuf::from("/input")],
            analysis: Some(Path::new("/analysis")),
            ..EncodedFrom::default()
        };
        encode_video(encode, from, Path::new("/made"), None)
    })
}

/// Like [`key`], with the ffmpeg command line from `tell`.
fn key_when_told(
    encode: &VideoEncode,
    index: u32,
    around: Circumstances<'_>,
    tell: impl FnOnce(&VideoEncode) -> Vec<OsString>,
) -> Option<String> {
    let mut own = encode.only(&[index]);
    let is_drawn_over = own.encoded().any(|(_, rendition)| !rendition.overlays.is_empty());
    if is_drawn_over {
        return None;
    }
    forget_numbers(&mut own);
    // An input's position in the job does not matter.
    let inputs: Vec<String> =
        own.clips.iter().map(|clip| around.inputs.get(&clip.input).cloned()).collect::<Option<_>>()?;
    own.clips.iter_mut().for_each(|clip| (clip.input, clip.compared_from) = (0, None));
    let command = tell(&own);
    let origin = Origin {
        generation: 3,
        command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        ffmpeg: around.ffmpeg,
        inputs: &inputs,
        encode: own,
        first_passes: around.first_passes,
    };
    Some(blake3::hash(&serde_json::to_vec(&origin).ok()?).to_hex().to_string())
}

/// Numbers renditions by their position, so that those that are not encoded do not affect the key.
fn forget_numbers(encode: &mut VideoEncode) {
    // What the analyses found is in the statistics and in the settings; threads change nothing that matters.
    encode.analyses.clear();
    encode.threads = None;
    for branch in &mut encode.branches {
        let before: Vec<u32> = branch.renditions.iter().map(|rendition| rendition.index).collect();
        let place =
            |index: u32| (0..).zip(&before).find(|(_, other)| **other == index).map_or(0, |(place, _)| place);
        for rendition in &mut branch.renditions {
            rendition.index = place(rendition.index);
            if let ScaleSource::Rendition(source) = rendition.scale_from {
                rendition.scale_from = ScaleSource::Rendition(place(source));
            }
            if rendition.only_scaled {
                // Only its frames matter.
                rendition.pass = Pass::Only;
            } else {
                // The number of the analysis does not matter, only its content.
                rendition.pass = match rendition.pass {
                    Pass::Second(_) => Pass::Second(0),
                    Pass::Levelled(_) => Pass::Levelled(0),
                    other => other,
                };
            }
        }
        let coding = branch.renditions.iter().find(|one| !one.only_scaled).map(|one| one.coding.clone());
        for rendition in branch.renditions.iter_mut().filter(|rendition| rendition.only_scaled) {
            rendition.coding = coding.clone().unwrap_or_else(|| rendition.coding.clone());
            rendition.overlays.clear();
            rendition.key_frame_every = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results(folder: &Path, most_bytes: u64) -> Results {
        Results::open(folder, most_bytes, 0).unwrap().unwrap()
    }

    fn keep(results: &Results, folder: &Path, key: &str, bytes: usize, age_s: u64) {
        let source = folder.join("source");
        std::fs::write(&source, vec![7; bytes]).unwrap();
        results.keep(key, &[("video", source.clone())]).unwrap();
        std::fs::remove_file(source).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age_s);
        if let Ok(kept) = File::open(results.folder.join(key)) {
            kept.set_modified(used).unwrap();
        }
    }

    #[test]
    fn result_is_taken_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(&folder.path().join("results"), 1000);
        keep(&results, folder.path(), "a", 10, 0);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        assert!(results.take("a", &[("video", one.clone())]));
        assert_eq!(std::fs::read(&one).unwrap(), [7; 10]);
        std::fs::remove_file(&one).unwrap();
        assert!(!results.take("a", &[("video", one.clone()), ("sound", other.clone())]));
        assert!(!one.exists() && !other.exists());
        assert!(!results.take("b", &[("video", one)]));
        assert_eq!((results.uses(), results.bytes()), ((1, 2), 10));
    }

    #[test]
    fn damaged_result_is_removed_and_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(&folder.path().join("results"), 1000);
        let damages: [&dyn Fn(&Path); 4] = [
            &|kept| std::fs::write(kept.join("video"), [7, 7, 6]).unwrap(),
            &|kept| std::fs::remove_file(kept.join("video")).unwrap(),
            &|kept| std::fs::remove_file(kept.join(SUMS)).unwrap(),
            &|kept| std::fs::write(kept.join(SUMS), "{").unwrap(),
        ];
        for damage in damages {
            keep(&results, folder.path(), "a", 3, 0);
            damage(&results.folder.join("a"));
            let one = folder.path().join("one");
            assert!(!results.take("a", &[("video", one.clone())]) && !one.exists());
            assert!(!results.folder.join("a").exists());
        }
    }

    #[test]
    fn equal_results_do_not_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(&folder.path().join("results"), 1000);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "first").unwrap();
        std::fs::write(&other, "2nd").unwrap();
        results.keep("a", &[("video", one.clone())]).unwrap();
        results.keep("a", &[("video", other.clone())]).unwrap();
        assert!(!results.take("a", &[("video", one.clone())]), "no file is overwritten");
        assert!(link(&other, &results.folder.join("a/video")).is_err());
        assert_eq!(std::fs::read(results.folder.join("a/video")).unwrap(), b"first");
    }

    #[test]
    fn least_recently_used_result_is_removed_first() {
        let folder = tempfile::tempdir().unwrap();
        let kept = results(&folder.path().join("results"), 100);
        for (key, age_s) in [("old", 90), ("older", 100), ("new", 1)] {
            keep(&kept, folder.path(), key, 40, age_s);
        }
        let is_there = |key: &str| kept.folder.join(key).exists();
        assert_eq!(["older", "old", "new"].map(is_there), [false, true, true]);
        assert!(
            kept.take("old", &[("video", folder.path().join("again"))]),
            "it is the most recently used now"
        );
        keep(&kept, folder.path(), "newest", 40, 0);
        assert_eq!(["old", "new", "newest"].map(is_there), [true, false, true]);
    }

    #[test]
    fn unused_results_go_after_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let kept = results(&folder.path().join("results"), 1000);
        for (key, age_s) in [("old", 90), ("new", 10), ("future", 0)] {
            keep(&kept, folder.path(), key, 40, age_s);
        }
        let future = File::open(kept.folder.join("future")).unwrap();
        future.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
        assert_eq!(kept.expire(Duration::from_secs(60)).unwrap(), 40);
        let is_there = |key: &str| kept.folder.join(key).exists();
        assert_eq!(["old", "new", "future"].map(is_there), [false, true, true]);
    }

    #[test]
    fn opening_removes_partial_results() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a.partial")).unwrap();
        let living = partial_results(folder.path()).create().unwrap();
        results(folder.path(), 10);
        assert!(!folder.path().join("a.partial").exists());
        assert!(living.path().exists(), "another process is making it");
        assert!(Results::open(folder.path(), 0, 0).unwrap().is_none());
    }

    #[test]
    fn full_disk_removes_only_as_much_as_needed() {
        let folder = tempfile::tempdir().unwrap();
        let kept = results(&folder.path().join("results"), 1000);
        for (key, age_s) in [("old", 90), ("older", 100), ("oldest", 110), ("new", 1)] {
            keep(&kept, folder.path(), key, 40, age_s);
        }
        let in_use = folder.path().join("in use");
        assert!(kept.take("oldest", &[("video", in_use)]));
        let oldest = File::open(kept.folder.join("oldest")).unwrap();
        oldest.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // A disk with space for 200 bytes.
        let used = || kept.by_last_use().unwrap().iter().map(|entry| entry.bytes).sum::<u64>();
        assert_eq!(kept.make_room(|| Ok(200 - used() >= 40)).unwrap(), 0, "there is enough space");
        assert_eq!(kept.make_room(|| Ok(200 - used() >= 70)).unwrap(), 40);
        let is_there = |key: &str| kept.folder.join(key).exists();
        let names = ["oldest", "older", "old", "new"];
        assert_eq!(names.map(is_there), [true, false, true, true], "removing what a job uses frees nothing");
        assert_eq!(kept.give_up().unwrap(), 80);
        assert_eq!(names.map(is_there), [true, false, false, false]);
    }

    #[test]
    fn spare_bytes_are_free_bytes_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        for (spare_bytes, given_back) in [(0, 0), (u64::MAX, 40)] {
            let kept = Results::open(&folder.path().join("results"), 1000, spare_bytes).unwrap().unwrap();
            keep(&kept, folder.path(), "a", 40, 0);
            assert_eq!(kept.keep_room().unwrap(), given_back, "{spare_bytes}");
        }
    }

    /// Returns two rungs, the smaller one scaled from the larger.
    fn ladder(small_bps: u64) -> VideoEncode {
        let rendition = |index: u32, width: u32, scale_from: ScaleSource, bit_rate_bps: u64| {
            let size = json!({"width": width, "height": width / 2});
            json!({
                "index": index, "scale_from": scale_from, "frame": size, "pixel_aspect": "1/1", "noise_reducer": null,
                "pictures": [{"crop": null, "size": size, "at": null}], "colour_correction": null, "overlays": [],
                "coding": {"codec": {"h264": {"profile": "high", "level": null, "b_references": true, "entropy": "cabac"}},
                    "rate_control": {"constant": {"bit_rate_bps": bit_rate_bps}}, "buffer_bits": 9, "buffer_fill_percent": null,
                    "speed": "fast", "gop": {"frames": 50, "min_frames": 12, "scene_cuts": true}, "b_frames": 3,
                    "references": null, "bit_depth": 8, "fields": "progressive", "static_hdr": {"mastering": null, "light": null}},
            })
        };
        let renditions = [
            rendition(4, 640, ScaleSource::Source, 800),
            rendition(7, 320, ScaleSource::Rendition(4), small_bps),
        ];
        serde_json::from_value(
            json!({"clips": [], "branches": [{"rate": "25/1", "frames": 10, "clip_frames": [10],
            "from_fields": false, "keeps_range": false, "renditions": renditions}]}),
        )
        .unwrap()
    }

    const HERE: Circumstances<'_> =
        Circumstances { ffmpeg: "5.1", inputs: &BTreeMap::new(), first_passes: &[] };

    #[test]
    fn key_depends_on_own_settings_and_scaling() {
        let (one, other) = (ladder(300), ladder(400));
        assert_eq!(key(&one, 4, HERE), key(&other, 4, HERE), "the other rung's rate does not count");
        assert_ne!(key(&one, 7, HERE), key(&other, 7, HERE));
        let mut wider = one.clone();
        wider.branches[0].renditions[0].frame.width = 700;
        wider.branches[0].renditions[0].pictures[0].size.width = 700;
        assert_ne!(key(&one, 7, HERE), key(&wider, 7, HERE), "it is scaled from a different size");
        let mut dearer = one.clone();
        dearer.branches[0].renditions[0].coding.buffer_bits = 99;
        assert_eq!(key(&one, 7, HERE), key(&dearer, 7, HERE), "how that rendition is encoded does not count");
        let mut renumbered = one.clone();
        renumbered.branches[0].renditions[0].index = 2;
        renumbered.branches[0].renditions[1].scale_from = ScaleSource::Rendition(2);
        assert_eq!(key(&one, 7, HERE), key(&renumbered, 7, HERE));
        let mut described = one.clone();
        described.threads = Some(3);
        described.analyses = serde_json::from_value(
            json!([{"index": 0, "pass": "first", "area": 9, "rate_factor_tenths": 230}]),
        )
        .unwrap();
        assert_eq!(
            key(&one, 7, HERE),
            key(&described, 7, HERE),
            "what does not change the frames does not count"
        );
        for around in [
            Circumstances { ffmpeg: "5.2", ..HERE },
            Circumstances { first_passes: &["a".to_owned()], ..HERE },
        ] {
            assert_ne!(key(&one, 7, HERE), key(&one, 7, around));
        }
    }

    #[test]
    fn different_ffmpeg_command_has_different_key() {
        let one = ladder(300);
        let told = |word: &str| key_when_told(&one, 7, HERE, |_| vec![word.into()]);
        assert_eq!(told("-refs 1"), told("-refs 1"));
        assert_ne!(told("-refs 1"), told("-refs 2"));
        let mut asked = None;
        key_when_told(&one, 7, HERE, |encode| {
            asked = Some(encode.clone());
            Vec::new()
        });
        let of_one: Vec<u64> = asked
            .iter()
            .flat_map(VideoEncode::encoded)
            .map(|(_, it)| it.coding.rate_control.ceiling_bps())
            .collect();
        assert_eq!(of_one, [300], "the command is for this rung alone");
    }

    #[test]
    fn rendition_with_overlays_has_no_key() {
        let mut drawn = ladder(300);
        drawn.branches[0].renditions[1].overlays.push(abanico_plan::Overlay::Captions(0));
        assert_eq!((key(&drawn, 4, HERE).is_some(), key(&drawn, 7, HERE)), (true, None));
    }
}
