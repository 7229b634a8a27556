//! Reads how a Matroska file crops its video, which ffmpeg's demuxer ignores (seen with 5.1.9).
//!
//! Only the description of the tracks is read. A file that is not as expected crops nothing; that is no error here.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use abanico_media::{Rational, Size, VideoTrack, Window};

use super::header::Header;

/// Most elements before the tracks, and most bytes of their description.
const MOST_ELEMENTS: u32 = 200;
const MOST_BYTES: u64 = 4 << 20;

/// IDs of elements (RFC 9559).
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
const VIDEO: u32 = 0xE0;

/// The type of video tracks.
const IS_VIDEO: u64 = 1;
/// Display units whose numbers give a shape: pixels, centimetres, inches and a plain ratio.
const LAST_UNIT_WITH_SHAPE: u64 = 3;

/// What a video track says about its picture, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Picture {
    width: u64,
    height: u64,
    left: u64,
    right: u64,
    top: u64,
    bottom: u64,
    display_width: u64,
    display_height: u64,
    display_unit: u64,
}

/// Narrows `video` to the part of its frames that the file shows.
pub(super) fn crop(file: &Path, header: &Header, video: &mut VideoTrack) {
    let mut videos = header.streams.iter().filter(|stream| stream.is_real_video());
    let Some(number) = videos.position(|stream| stream.index == video.stream_index) else { return };
    let pictures = File::open(file).and_then(|file| pictures(&mut BufReader::new(file)));
    if let Some(picture) = pictures.ok().and_then(|pictures| pictures.get(number).copied()) {
        picture.narrow(video);
    }
}

impl Picture {
    fn narrow(self, video: &mut VideoTrack) {
        let is_cropped = self.left + self.right + self.top + self.bottom > 0;
        let stored = video.stored();
        // If the codec has another size than the container, the numbers belong to other frames.
        if !is_cropped || (self.width, self.height) != (stored.size.width.into(), stored.size.height.into()) {
            return;
        }
        let inner = |length: u64, before: u64, after: u64| {
            let inner = length.checked_sub(before)?.checked_sub(after)?;
            u32::try_from(inner).ok().filter(|length| *length > 1)
        };
        let Some(size) = inner(self.width, self.left, self.right)
            .zip(inner(self.height, self.top, self.bottom))
            .map(|(width, height)| Size::new(width, height))
        else {
            return;
        };
        let side = |length: u64| u32::try_from(length).unwrap_or(0);
        let display = Size::new(side(self.display_width), side(self.display_height));
        if display.area() > 0 && self.display_unit <= LAST_UNIT_WITH_SHAPE {
            // The display size belongs to what is left. ffmpeg takes it for that of the whole frame.
            video.sample_aspect = display.aspect() / size.aspect();
        } else {
            video.sample_aspect = Rational::ONE;
        }
        video.window = Some(Window { stored, x: side(self.left), y: side(self.top) });
        video.size = size;
    }
}

/// Returns what the file says about each of its video tracks, in their order.
fn pictures(source: &mut (impl Read + Seek)) -> io::Result<Vec<Picture>> {
    for _ in 0..MOST_ELEMENTS {
        let (id, length) = element(source)?;
        match id {
            // Its children follow at once.
            SEGMENT => {}
            TRACKS => {
                let mut tracks = Vec::new();
                source.take(length.unwrap_or(MOST_BYTES).min(MOST_BYTES)).read_to_end(&mut tracks)?;
                return Ok(children(&tracks)
                    .into_iter()
                    .filter_map(|(id, track)| picture(id, track))
                    .collect());
            }
            CLUSTER => break,
            _ => {
                let length = length.and_then(|length| i64::try_from(length).ok());
                source.seek(SeekFrom::Current(length.ok_or(io::ErrorKind::InvalidData)?))?;
            }
        }
    }
    Ok(Vec::new())
}

/// Returns what a track says about its picture; `None` if it is not a video track.
fn picture(id: u32, track: &[u8]) -> Option<Picture> {
    let parts = if id == TRACK_ENTRY { children(track) } else { Vec::new() };
    let kind = parts.iter().find(|(id, _)| *id == TRACK_TYPE)?;
    if number(kind.1) != IS_VIDEO {
        return None;
    }
    let mut picture = Picture::default();
    let video = parts.iter().find(|(id, _)| *id == VIDEO).map(|(_, video)| children(video));
    for (id, value) in video.unwrap_or_default() {
        let member = match id {
            0xB0 => &mut picture.width,
            0xBA => &mut picture.height,
            0x54CC => &mut picture.left,
            0x54DD => &mut picture.right,
            0x54BB => &mut picture.top,
            0x54AA => &mut picture.bottom,
            0x54B0 => &mut picture.display_width,
            0x54BA => &mut picture.display_height,
            0x54B2 => &mut picture.display_unit,
            _ => continue,
        };
        // No side is longer; sums must not overflow.
        *member = number(value).min(u32::MAX.into());
    }
    Some(picture)
}

/// Returns the IDs and contents of the elements in `bytes`, up to the first one that is cut off.
fn children(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Ok((id, Some(length))) = element(&mut rest) {
        let Some((content, after)) = usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at))
        else {
            break;
        };
        found.push((id, content));
        rest = after;
    }
    found
}

/// Returns an unsigned integer; 0 if it is too long.
fn number(bytes: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if bytes.len() <= 8 { bytes.iter().fold(0, add) } else { 0 }
}

/// Reads the ID and the length of the next element; the length is `None` if it is unknown.
fn element(source: &mut impl Read) -> io::Result<(u32, Option<u64>)> {
    let (id, _) = variable(source, 4)?;
    let (length, bits) = variable(source, 8)?;
    let all_ones = (1 << bits) - 1;
    let length = length & all_ones;
    Ok((u32::try_from(id).map_err(|_| io::ErrorKind::InvalidData)?, (length != all_ones).then_some(length)))
}

/// Reads a number of variable length with its marker. Also returns how many bits follow the marker.
fn variable(source: &mut impl Read, most_bytes: u32) -> io::Result<(u64, u32)> {
    let mut first = [0];
    source.read_exact(&mut first)?;
    let more = first[0].leading_zeros();
    if more >= most_bytes {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut value = u64::from(first[0]);
    for _ in 0..more {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        value = value << 8 | u64::from(byte[0]);
    }
    Ok((value, 7 * (more + 1)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::probe::measure::video_track;
    use crate::probe::packets::tally_of;

    fn made(id: u32, content: &[u8]) -> Vec<u8> {
        let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        let length = (0x4000 | u16::try_from(content.len()).unwrap()).to_be_bytes();
        [&id, &length[..], content].concat()
    }

    fn track(kind: u8, members: &[(u32, u16)]) -> Vec<u8> {
        let members: Vec<u8> =
            members.iter().flat_map(|(id, value)| made(*id, &value.to_be_bytes())).collect();
        made(TRACK_ENTRY, &[made(TRACK_TYPE, &[kind]), made(VIDEO, &members)].concat())
    }

    fn film(tracks: &[Vec<u8>]) -> Vec<u8> {
        let inner = [made(0xEC, b"void"), made(TRACKS, &tracks.concat())].concat();
        // The length of the segment is unknown, as in a live recording.
        [made(0x1A45_DFA3, b"header"), SEGMENT.to_be_bytes().to_vec(), vec![0xFF], inner].concat()
    }

    const CROPPED: [(u32, u16); 6] =
        [(0xB0, 1280), (0xBA, 720), (0x54BB, 90), (0x54AA, 90), (0x54B0, 1280), (0x54BA, 540)];

    fn video(width: u32, height: u32) -> VideoTrack {
        let stream = format!(
            r#"{{"time_base":"1/25","width":{width},"height":{height},"sample_aspect_ratio":"4:3"}}"#
        );
        let packets = tally_of(["0,0,0,1,9,K_".to_owned()]);
        video_track(&serde_json::from_str(&stream).unwrap(), &packets).unwrap()
    }

    #[test]
    fn crops_of_video_tracks_are_found() {
        let found =
            pictures(&mut Cursor::new(film(&[track(2, &[]), track(1, &CROPPED), track(1, &[])]))).unwrap();
        assert_eq!(
            (found.len(), found[0].top, found[0].display_height, found[1]),
            (2, 90, 540, Picture::default())
        );
        let cluster = [made(CLUSTER, b""), film(&[track(1, &CROPPED)])].concat();
        assert_eq!(pictures(&mut Cursor::new(cluster)).unwrap(), []);
    }

    #[test]
    fn damaged_descriptions_end_the_search() {
        let whole = film(&[track(1, &CROPPED)]);
        for length in 0..whole.len() {
            let _ = pictures(&mut Cursor::new(&whole[..length]));
        }
        assert!(pictures(&mut Cursor::new([0; 64])).is_err());
    }

    #[test]
    fn shown_part_has_its_own_shape() {
        let picture = pictures(&mut Cursor::new(film(&[track(1, &CROPPED)]))).unwrap()[0];
        let mut found = video(1280, 720);
        let stored = found.stored();
        picture.narrow(&mut found);
        assert_eq!((found.size, found.sample_aspect), (Size::new(1280, 540), Rational::ONE));
        assert_eq!(found.window, Some(Window { stored, x: 0, y: 90 }));
        let ratio =
            Picture { display_width: 16, display_height: 9, display_unit: 3, left: 80, right: 80, ..picture };
        let mut found = video(1280, 720);
        ratio.narrow(&mut found);
        assert_eq!((found.size, found.sample_aspect), (Size::new(1120, 540), Rational::new(6, 7)));
    }

    #[test]
    fn impossible_crops_are_ignored() {
        let picture = pictures(&mut Cursor::new(film(&[track(1, &CROPPED)]))).unwrap()[0];
        for (wrong, width) in [
            (picture, 1920),
            (Picture { top: 700, ..picture }, 1280),
            (Picture { top: 0, bottom: 0, ..picture }, 1280),
        ] {
            let mut found = video(width, 720);
            wrong.narrow(&mut found);
            assert_eq!(found, video(width, 720));
        }
    }
}
