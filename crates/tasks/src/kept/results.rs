//! Keeps finished encodes as artifacts, so that later jobs can link them into place. The key is a hash of everything that
//! determines an encode, such as its settings, its input and the version of ffmpeg. Kept encodes are removed to stay
//! within the size limit, and when a job needs the space.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abanico_artifacts::{ArtifactKey, Error, FileName, LimitedArtifacts, Limits, NamedFile};
use abanico_ffmpeg::command::{EncodedFrom, encode_video};
use abanico_plan::{Pass, ScaleSource, VideoEncode};
use serde::Serialize;

/// The kept encodes, each an artifact. All methods block.
#[derive(Debug)]
pub struct Results {
    artifacts: LimitedArtifacts,
    /// How often a result was there, and was not.
    uses: [AtomicU64; 2],
}

/// Name of the folder of results in the engine's folder.
pub const FOLDER: &str = "results";

impl Results {
    /// Opens the folder and removes incomplete results whose process is gone. Returns `None` if `most_bytes` is 0.
    /// `spare_bytes` of its disk are to stay free.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn open(folder: &Path, most_bytes: u64, spare_bytes: u64) -> io::Result<Option<Self>> {
        if most_bytes == 0 {
            return Ok(None);
        }
        let artifacts =
            LimitedArtifacts::open(folder, Limits { most_bytes, spare_bytes }).map_err(io::Error::other)?;
        Ok(Some(Self { artifacts, uses: Default::default() }))
    }

    /// Returns how often a result was there, and how often not, since the folder was opened.
    pub fn uses(&self) -> (u64, u64) {
        (self.uses[0].load(Ordering::Relaxed), self.uses[1].load(Ordering::Relaxed))
    }

    /// Returns the size of all results.
    pub fn bytes(&self) -> u64 {
        self.artifacts.bytes().unwrap_or(0)
    }

    /// Returns the folder of the results.
    pub fn folder(&self) -> &Path {
        self.artifacts.folder()
    }

    /// Puts the files of a result in place. If there is no such result, or it is not what was kept, returns false and
    /// leaves nothing in place.
    pub fn take(&self, key: &ArtifactKey, files: &[NamedFile]) -> bool {
        let taken = self.artifacts.place(key, files);
        let is_taken = taken.as_ref().is_ok_and(Option::is_some);
        if let Err(error) = taken {
            tracing::debug!(artifact.key = %key, %error, "cannot take a kept encode");
        }
        self.uses[usize::from(!is_taken)].fetch_add(1, Ordering::Relaxed);
        is_taken
    }

    /// Keeps the files of a finished encode. If there is such a result already, it stays.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn keep(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<(), Error> {
        self.artifacts.put(key, files)
    }

    /// Removes the least recently used results until the disk has its spare bytes free or nothing is left to remove.
    /// Returns the bytes freed.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn keep_room(&self) -> io::Result<u64> {
        self.artifacts.keep_room(|| free_bytes(self.folder())).map_err(io::Error::other)
    }

    /// Removes every result that frees bytes, because the disk was full, however little was missing. Returns the
    /// bytes freed.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn give_up(&self) -> io::Result<u64> {
        self.artifacts.give_up().map_err(io::Error::other)
    }

    /// Removes the results that nobody used for this long. Returns the bytes freed.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn expire(&self, age: Duration) -> io::Result<u64> {
        self.artifacts.expire(age).map_err(io::Error::other)
    }
}

/// Returns a file of a result under the name by which it is kept.
pub(crate) fn file(name: &'static str, path: PathBuf) -> NamedFile {
    NamedFile { name: FileName::new(name).expect("names of results are fixed and plain"), path }
}

/// Returns how many bytes of the folder's disk are free.
///
/// # Errors
/// Fails if the disk cannot be asked.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stats = nix::sys::statvfs::statvfs(folder)?;
    Ok(stats.blocks_available() * stats.fragment_size())
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
pub fn key(encode: &VideoEncode, index: u32, around: Circumstances<'_>) -> Option<ArtifactKey> {
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
) -> Option<ArtifactKey> {
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
    Some(ArtifactKey::of(&serde_json::to_vec(&origin).ok()?))
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

    fn results(folder: &Path) -> Results {
        Results::open(&folder.join("results"), 1000, 0).unwrap().unwrap()
    }

    fn keep(results: &Results, folder: &Path, key: &ArtifactKey, bytes: &str) {
        let source = folder.join("source");
        std::fs::write(&source, bytes).unwrap();
        results.keep(key, &[file("video", source.clone())]).unwrap();
        std::fs::remove_file(source).unwrap();
    }

    #[test]
    fn result_is_taken_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (results, key) = (results(folder.path()), ArtifactKey::of(b"a"));
        keep(&results, folder.path(), &key, "a result");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        assert!(results.take(&key, &[file("video", one.clone())]));
        assert_eq!(std::fs::read(&one).unwrap(), b"a result");
        assert!(!results.take(&key, &[file("video", one.clone())]), "no file is overwritten");
        std::fs::remove_file(&one).unwrap();
        assert!(!results.take(&key, &[file("video", one.clone()), file("sound", other.clone())]));
        assert!(!one.exists() && !other.exists());
        assert!(!results.take(&ArtifactKey::of(b"b"), &[file("video", one)]));
        assert_eq!((results.uses(), results.bytes()), ((1, 3), 8));
    }

    #[test]
    fn damaged_result_is_removed_and_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (results, key) = (results(folder.path()), ArtifactKey::of(b"a"));
        let damages: [&dyn Fn(&Path); 4] = [
            &|kept| std::fs::write(kept.join("files/video"), "A").unwrap(),
            &|kept| std::fs::remove_file(kept.join("files/video")).unwrap(),
            &|kept| std::fs::remove_file(kept.join("manifest.json")).unwrap(),
            &|kept| std::fs::write(kept.join("manifest.json"), "{").unwrap(),
        ];
        for damage in damages {
            keep(&results, folder.path(), &key, "a");
            let kept = results.folder().join(key.to_string());
            damage(&kept);
            let one = folder.path().join("one");
            assert!(!results.take(&key, &[file("video", one.clone())]) && !one.exists());
            assert!(!kept.exists());
        }
    }

    #[test]
    fn first_of_equal_results_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (results, key) = (results(folder.path()), ArtifactKey::of(b"a"));
        keep(&results, folder.path(), &key, "first");
        keep(&results, folder.path(), &key, "2nd");
        assert_eq!(
            std::fs::read(results.folder().join(key.to_string()).join("files/video")).unwrap(),
            b"first"
        );
        assert!(Results::open(folder.path(), 0, 0).unwrap().is_none());
    }

    #[test]
    fn spare_bytes_are_free_bytes_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        for (spare_bytes, given_back) in [(0, 0), (u64::MAX, 4)] {
            let kept = Results::open(&folder.path().join("results"), 1000, spare_bytes).unwrap().unwrap();
            keep(&kept, folder.path(), &ArtifactKey::of(b"a"), "four");
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
