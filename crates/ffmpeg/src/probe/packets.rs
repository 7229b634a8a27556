//! Reads a file's header and all of its packets in one run of ffprobe, and tallies the packets of each
//! stream.
//!
//! It decodes nothing, and its memory use does not grow with the file.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use abanico_media::{ClockJumps, ClockShift};

use super::cadence::{Cadence, Rhythm};
use super::clock::{Clock, ClockKind};
use super::header::{self, Header};
use super::reader;
use crate::{Error, Tools};

/// Maximum number of entry points to keep: two days' worth, at one every two seconds.
const MOST_ENTRY_POINTS: usize = 100_000;

const ENTRIES: &str = "packet=codec_type,stream_index,pts,dts,dts_time,duration,size,flags";
/// First and last lines of ffprobe's list of packets. It comes before everything else, with one line per
/// packet.
const LIST_BEGINS: &str = "    \"packets\": [";
const LIST_ENDS: [&str; 2] = ["    ],", "    ]"];

/// One packet. Times are in ticks of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packet {
    stream: u32,
    pts: Option<i64>,
    dts_micros: Option<i64>,
    duration: i64,
    size_bytes: u64,
    is_key: bool,
    is_hidden: bool,
    is_picture: bool,
    is_sound: bool,
}

/// Facts about the packets of one stream. Times are in ticks.
#[derive(Debug)]
pub(crate) struct Packets {
    /// Number of packets, shown or not.
    pub all: u64,
    /// Number of shown packets.
    pub shown: u64,
    /// Number of shown packets that start a group of pictures.
    pub keys: u64,
    /// Whether the very first packet starts a group of pictures.
    pub first_is_key: bool,
    /// Bytes of all packets.
    pub bytes: u64,
    /// Latest end of a shown packet that states its duration.
    pub end: Option<i64>,
    /// Duration of the shown packet with the latest time; 0 if it states none.
    pub last_duration: i64,
    /// Times and distances of the shown packets.
    pub rhythm: Rhythm,
    /// How the shown packets follow one another in file order.
    pub steps: Steps,
    /// Times of shown packets that start a group of pictures, ascending. Video only; at most the first
    /// hundred thousand.
    pub entry_points: Vec<i64>,
}

/// How the packets of a track follow one another in file order. Only audio packets are in the order of their times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Steps {
    previous: Option<(i64, i64)>,
    /// Sum of the packets' stated durations.
    pub covered: i64,
    /// Shortest and longest time from the start of a packet to the start of the next, if there are two.
    pub range: Option<(i64, i64)>,
    /// Longest time by which a packet starts before or after the stated end of the packet before it.
    pub unevenness: i64,
}

impl Steps {
    fn take(&mut self, pts: i64, duration: i64) {
        self.covered = self.covered.saturating_add(duration);
        if let Some((before, lasted)) = self.previous.replace((pts, duration)) {
            let step = pts.saturating_sub(before);
            let (shortest, longest) = self.range.unwrap_or((step, step));
            self.range = Some((shortest.min(step), longest.max(step)));
            self.unevenness = self.unevenness.max(step.saturating_sub(lasted).saturating_abs());
        }
    }
}

/// How to count video packets before the first key packet, which no player can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BeforeFirstKey {
    /// Like any other packet.
    Shown,
    /// As hidden.
    Hidden,
    /// As hidden, but in this stream, where decoding starts without a key packet, only those before this tick.
    HiddenUntil { stream: u32, tick: i64 },
}

/// What a run of ffprobe found out about a file.
pub(crate) struct Scan {
    /// Its header.
    pub header: Header,
    /// The packets of each stream.
    pub packets: BTreeMap<u32, Packets>,
    /// Jumps of its clock, which the packets' times still have.
    pub jumps: ClockJumps,
}

/// Reads the header and all packets of `file` with one run of ffprobe.
pub(crate) async fn scan(
    tools: &Tools,
    file: &Path,
    before_key: BeforeFirstKey,
    cancel: &CancellationToken,
) -> Result<Scan, Error> {
    scan_shifted(tools, file, before_key, &[], cancel).await
}

/// Like [`scan`], for a file whose clock jumps: with the times that its packets have after these shifts, in ticks of
/// each stream's clock.
pub(crate) async fn scan_shifted(
    tools: &Tools,
    file: &Path,
    before_key: BeforeFirstKey,
    shifts: &[(ClockShift, i64)],
    cancel: &CancellationToken,
) -> Result<Scan, Error> {
    let mut streams: BTreeMap<u32, Tally> = BTreeMap::new();
    let (mut written, mut broadcast) = (Clock::new(false), Clock::new(true));
    let entries = format!("{ENTRIES}:{}", header::ENTRIES);
    let mut rest = header::Answer::default();
    let mut in_list = false;
    let options = ["-of", "json=compact=1", "-show_entries", &entries];
    let ended = reader::run(tools, file, &options, cancel, |line| match in_list {
        true if LIST_ENDS.contains(&line) => in_list = false,
        true => {
            let Some(mut packet) = parse(line) else { return };
            if packet.is_picture || packet.is_sound {
                written.take(packet.stream, packet.is_picture, packet.dts_micros);
                broadcast.take(packet.stream, packet.is_picture, packet.dts_micros);
            }
            let new = || match before_key {
                BeforeFirstKey::HiddenUntil { stream, tick } if stream == packet.stream => Tally::from(tick),
                BeforeFirstKey::Shown => Tally::new(false),
                _ => Tally::new(packet.is_picture),
            };
            let tally = streams.entry(packet.stream).or_insert_with(new);
            packet.pts =
                packet.pts.map(|pts| pts.saturating_add(ticks_to_add(shifts, packet.stream, tally.all)));
            tally.take(packet);
        }
        false if line == LIST_BEGINS => in_list = true,
        false => rest.push(line),
    })
    .await?;
    let header = rest.header(ended, file)?;
    let jumps = match ClockKind::of(&header.format.format_name) {
        ClockKind::Sure => ClockJumps::default(),
        ClockKind::Written => written.finish(),
        ClockKind::Broadcast => broadcast.finish(),
    };
    let packets = streams.into_iter().map(|(stream, tally)| (stream, tally.finish())).collect();
    Ok(Scan { header, packets, jumps })
}

/// Returns what to add to the time of a stream's packet with this number.
fn ticks_to_add(shifts: &[(ClockShift, i64)], stream: u32, number: u64) -> i64 {
    let reached =
        |shift: &&(ClockShift, i64)| shift.0.stream_index == stream && shift.0.first_packet <= number;
    shifts.iter().filter(reached).max_by_key(|(shift, _)| shift.first_packet).map_or(0, |(_, ticks)| *ticks)
}

/// Parses one line of the list, which holds one packet. A number that ffprobe does not know is missing from
/// the line; any further data of the packet follows on separate lines.
///
/// `{ "codec_type": "video", "stream_index": 0, "pts": 7200, "size": "23670", "flags": "K_" },`
fn parse(line: &str) -> Option<Packet> {
    let value = |name: &str| {
        let after = &line[line.find(name)? + name.len()..];
        let text = after.strip_prefix("\": ")?.trim_start_matches('"');
        Some(&text[..text.find(['"', ',', ' '])?])
    };
    let number = |name: &str| -> Option<i64> { value(name)?.parse().ok() };
    let flags = value("\"flags")?;
    Some(Packet {
        stream: value("\"stream_index")?.parse().ok()?,
        pts: number("\"pts").or_else(|| number("\"dts")),
        dts_micros: value("\"dts_time").and_then(micros),
        duration: number("\"duration").unwrap_or(0),
        size_bytes: value("\"size").and_then(|size| size.parse().ok()).unwrap_or(0),
        is_key: flags.starts_with('K'),
        is_hidden: flags.contains('D'),
        is_picture: value("\"codec_type") == Some("video"),
        is_sound: value("\"codec_type") == Some("audio"),
    })
}

/// Parses seconds with six decimals, as ffprobe writes them.
fn micros(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.')?;
    let negative = whole.starts_with('-');
    let whole: i64 = whole.trim_start_matches('-').parse().ok()?;
    let micros =
        whole.checked_mul(1_000_000)?.checked_add(decimals.parse().ok().filter(|_| decimals.len() == 6)?)?;
    Some(if negative { -micros } else { micros })
}

#[derive(Default)]
struct Tally {
    is_picture: bool,
    waits_for_key: bool,
    first_tick: Option<i64>,
    all: u64,
    shown: u64,
    keys: u64,
    first_is_key: bool,
    bytes: u64,
    end: Option<i64>,
    last: Option<(i64, i64)>,
    cadence: Cadence,
    steps: Steps,
    entry_points: Vec<i64>,
}

impl Tally {
    fn new(waits_for_key: bool) -> Self {
        let cadence = if waits_for_key { Cadence::of_pictures() } else { Cadence::default() };
        Self { waits_for_key, is_picture: waits_for_key, cadence, ..Self::default() }
    }

    fn from(tick: i64) -> Self {
        Self { first_tick: Some(tick), is_picture: true, ..Self::default() }
    }

    fn take(&mut self, packet: Packet) {
        if self.all == 0 {
            self.first_is_key = packet.is_key;
        }
        self.all += 1;
        self.bytes += packet.size_bytes;
        self.waits_for_key &= !packet.is_key;
        let is_early = self.first_tick.is_some_and(|first| packet.pts.is_some_and(|pts| pts < first));
        if self.waits_for_key || packet.is_hidden || is_early {
            return;
        }
        self.shown += 1;
        self.keys += u64::from(packet.is_key);
        let Some(pts) = packet.pts else { return };
        self.cadence.push(pts);
        self.steps.take(pts, packet.duration);
        // Every audio packet is a key packet, so only the entry points of video are worth keeping.
        if packet.is_key && self.is_picture && self.entry_points.len() < MOST_ENTRY_POINTS {
            self.entry_points.push(pts);
        }
        self.end = self.end.max(Some(pts.saturating_add(packet.duration.max(0))));
        if self.last.is_none_or(|(last, _)| pts >= last) {
            self.last = Some((pts, packet.duration));
        }
    }

    fn finish(mut self) -> Packets {
        self.entry_points.sort_unstable();
        Packets {
            all: self.all,
            shown: self.shown,
            keys: self.keys,
            first_is_key: self.first_is_key,
            bytes: self.bytes,
            end: self.end,
            last_duration: self.last.map_or(0, |(_, duration)| duration),
            rhythm: self.cadence.finish(),
            steps: self.steps,
            entry_points: self.entry_points,
        }
    }
}

/// Tallies the packets of a video track, each given as stream, times, duration, size and flags:
/// `0,20,5,30,1,K_`.
#[cfg(test)]
pub(crate) fn tally_of(packets: impl IntoIterator<Item = String>) -> Packets {
    let mut tally = Tally::new(true);
    packets
        .into_iter()
        .filter_map(|packet| parse(&tests::as_written(&packet)))
        .for_each(|packet| tally.take(packet));
    tally.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formats a packet as ffprobe writes it.
    pub(super) fn as_written(packet: &str) -> String {
        let names = ["stream_index", "pts", "dts", "duration", "size", "flags"];
        let known = names.iter().zip(packet.split(',')).filter(|(_, value)| *value != "N/A");
        let members = known.map(|(name, value)| match *name {
            "size" | "flags" => format!("\"{name}\": \"{value}\""),
            _ => format!("\"{name}\": {value}"),
        });
        let members: Vec<String> = members.collect();
        format!("        {{ \"codec_type\": \"video\", {} }},", members.join(", "))
    }

    fn tally(lines: &[&str], waits_for_key: bool) -> Packets {
        let mut tally = Tally::new(waits_for_key);
        lines.iter().for_each(|line| tally.take(parse(&as_written(line)).unwrap()));
        tally.finish()
    }

    #[test]
    fn line_is_parsed_with_and_without_side_data() {
        let packet = parse("        { \"codec_type\": \"audio\", \"stream_index\": 1, \"pts\": 997200, \"dts\": 990000, \"duration\": 3600, \"size\": \"23670\", \"flags\": \"K_\",").unwrap();
        assert_eq!(
            (packet.stream, packet.pts, packet.duration, packet.size_bytes),
            (1, Some(997_200), 3600, 23670)
        );
        assert!(packet.is_key && !packet.is_hidden && !packet.is_picture);
        let sparse = parse(&as_written("0,N/A,67,N/A,52,__")).unwrap();
        assert_eq!((sparse.pts, sparse.duration, sparse.is_key), (Some(67), 0, false));
        assert!(sparse.is_picture);
        assert_eq!(
            (micros("12.000340"), micros("-0.020000"), micros("N/A")),
            (Some(12_000_340), Some(-20_000), None)
        );
        assert_eq!((parse(""), parse("            \"side_data_list\": [")), (None, None));
    }

    #[test]
    fn packets_hidden_by_edit_list_are_not_shown() {
        let packets =
            tally(&["0,-10,-30,10,5,KD", "0,20,-20,10,5,K_", "0,10,-10,10,5,__", "0,0,0,10,5,__"], true);
        assert_eq!((packets.all, packets.shown, packets.keys, packets.bytes), (4, 3, 1, 20));
        assert_eq!((packets.rhythm.first, packets.end), (Some(0), Some(30)));
    }

    #[test]
    fn video_starts_at_its_first_key_packet() {
        let lines = ["0,0,0,10,1,__", "0,10,10,10,1,__", "0,20,20,10,1,K_", "0,30,30,10,1,__"];
        let video = tally(&lines, true);
        assert_eq!((video.shown, video.rhythm.first, video.first_is_key), (2, Some(20), false));
        assert_eq!(tally(&lines, false).shown, 4);
    }

    #[test]
    fn video_without_a_key_packet_starts_where_decoding_does() {
        let mut tally = Tally::from(20);
        for line in ["0,0,0,10,1,__", "0,30,10,10,1,__", "0,20,20,10,1,__", "0,40,30,10,1,K_"] {
            tally.take(parse(&as_written(line)).unwrap());
        }
        let video = tally.finish();
        assert_eq!((video.shown, video.rhythm.first, video.entry_points), (3, Some(20), vec![40]));
    }

    #[test]
    fn steps_show_gaps_overlaps_and_squeezed_packets() {
        let steps = |lines: &[&str]| tally(lines, false).steps;
        let even = steps(&["0,0,0,10,1,K_", "0,10,10,10,1,K_", "0,20,20,4,1,K_"]);
        assert_eq!((even.covered, even.range, even.unevenness), (24, Some((10, 10)), 0));
        let gap = steps(&["0,0,0,10,1,K_", "0,20,20,10,1,K_", "0,30,30,10,1,K_"]);
        assert_eq!((gap.covered, gap.range, gap.unevenness), (30, Some((10, 20)), 10));
        let back = steps(&["0,0,0,10,1,K_", "0,10,10,1,1,K_", "0,4,4,10,1,K_"]);
        assert_eq!((back.range, back.unevenness), (Some((-6, 10)), 7));
        let squeezed = steps(&["0,0,0,10,1,K_", "0,10,10,1,1,K_", "0,11,11,10,1,K_"]);
        assert_eq!((squeezed.range, squeezed.unevenness), (Some((1, 10)), 0), "the file says so itself");
        assert_eq!(steps(&["0,0,0,10,1,K_"]).range, None);
    }

    #[test]
    fn last_duration_follows_presentation_order() {
        let packets = tally(&["0,0,0,10,1,K_", "0,20,5,30,1,__", "0,10,10,10,1,__"], true);
        assert_eq!((packets.last_duration, packets.end), (30, Some(50)));
    }
}
