//! Reads a file's header and all of its packets in one run of ffprobe, and tallies the packets of each
//! stream.
//!
//! It decodes nothing, and its memory use does not grow with the file.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::cadence::{Cadence, Rhythm};
use super::header::{self, Header};
use super::reader;
use crate::{Error, Tools};

/// Maximum number of entry points to keep: two days' worth, at one every two seconds.
const MOST_ENTRY_POINTS: usize = 100_000;

const ENTRIES: &str = "packet=codec_type,stream_index,pts,dts,duration,size,flags";
/// First and last lines of ffprobe's list of packets. It comes before everything else, with one line per
/// packet.
const LIST_BEGINS: &str = "    \"packets\": [";
const LIST_ENDS: [&str; 2] = ["    ],", "    ]"];

/// One packet. Times are in ticks of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packet {
    stream: u32,
    pts: Option<i64>,
    duration: i64,
    size_bytes: u64,
    is_key: bool,
    is_hidden: bool,
    is_picture: bool,
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
    /// Times of shown packets that start a group of pictures, ascending. Video only; at most the first
    /// hundred thousand.
    pub entry_points: Vec<i64>,
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

/// Reads the header and all packets of `file` with one run of ffprobe.
pub(crate) async fn scan(
    tools: &Tools,
    file: &Path,
    before_key: BeforeFirstKey,
    cancel: &CancellationToken,
) -> Result<(Header, BTreeMap<u32, Packets>), Error> {
    let mut streams: BTreeMap<u32, Tally> = BTreeMap::new();
    let entries = format!("{ENTRIES}:{}", header::ENTRIES);
    let mut rest = header::Answer::default();
    let mut in_list = false;
    let options = ["-of", "json=compact=1", "-show_entries", &entries];
    let ended = reader::run(tools, file, &options, cancel, |line| match in_list {
        true if LIST_ENDS.contains(&line) => in_list = false,
        true => {
            let Some(packet) = parse(line) else { return };
            let tally = || match before_key {
                BeforeFirstKey::HiddenUntil { stream, tick } if stream == packet.stream => Tally::from(tick),
                BeforeFirstKey::Shown => Tally::new(false),
                _ => Tally::new(packet.is_picture),
            };
            streams.entry(packet.stream).or_insert_with(tally).take(packet);
        }
        false if line == LIST_BEGINS => in_list = true,
        false => rest.push(line),
    })
    .await?;
    let header = rest.header(ended, file)?;
    Ok((header, streams.into_iter().map(|(stream, tally)| (stream, tally.finish())).collect()))
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
        duration: number("\"duration").unwrap_or(0),
        size_bytes: value("\"size").and_then(|size| size.parse().ok()).unwrap_or(0),
        is_key: flags.starts_with('K'),
        is_hidden: flags.contains('D'),
        is_picture: value("\"codec_type") == Some("video"),
    })
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
    fn last_duration_follows_presentation_order() {
        let packets = tally(&["0,0,0,10,1,K_", "0,20,5,30,1,__", "0,10,10,10,1,__"], true);
        assert_eq!((packets.last_duration, packets.end), (30, Some(50)));
    }
}
