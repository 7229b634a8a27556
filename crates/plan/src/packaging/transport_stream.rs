//! Numbers of MPEG-2 transport streams: identifiers and the first presentation time. Reads them from the
//! settings of an HLS or M2TS output, and falls back to AWS's defaults. It never returns muxer flags.

use abanico_media::ExactTime;
use abanico_model::generated::{M2tsSettings, M3u8Settings, TsPtsOffset};
use serde::{Deserialize, Serialize};

use crate::setting::{seconds, whole};

/// Default packet identifiers of the program map table, video and audio (AWS's service model).
const PIDS: (u16, u16, u16) = (480, 481, 482);

/// Identifiers and first presentation time of a transport stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransportStream {
    /// `transport_stream_id`.
    pub id: u16,
    /// `program_number`.
    pub program: u16,
    /// Packet identifier of the program map table.
    pub pmt_pid: u16,
    /// Packet identifier of the video.
    pub video_pid: u16,
    /// Packet identifiers of the audio tracks. Further tracks continue counting from the last one.
    pub audio_pids: Vec<u16>,
    /// Presentation time of the first frame.
    pub first_pts: ExactTime,
}

/// Reads the numbers. The settings of both kinds of output have members of the same names, in types of their own.
macro_rules! numbers {
    ($settings:expr) => {{
        let own = $settings.cloned().unwrap_or_default();
        TransportStream {
            id: number(own.transport_stream_id, 1),
            program: number(own.program_number, 1),
            pmt_pid: number(own.pmt_pid, PIDS.0),
            video_pid: number(own.video_pid, PIDS.1),
            audio_pids: audio_pids(own.audio_pids.as_deref()),
            first_pts: first_pts(own.pts_offset_mode.as_ref(), own.pts_offset),
        }
    }};
}

/// Reads the numbers of an HLS output's transport stream.
pub(crate) fn transport_stream(settings: Option<&M3u8Settings>) -> TransportStream {
    numbers!(settings)
}

/// Reads the numbers of a transport stream in a single file.
pub(crate) fn program_numbers(settings: Option<&M2tsSettings>) -> TransportStream {
    numbers!(settings)
}

fn number(member: Option<i64>, default: u16) -> u16 {
    member.and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
}

fn audio_pids(named: Option<&[i64]>) -> Vec<u16> {
    let pids: Vec<u16> =
        named.unwrap_or_default().iter().filter_map(|pid| u16::try_from(*pid).ok()).collect();
    if pids.is_empty() { vec![PIDS.2] } else { pids }
}

fn first_pts(mode: Option<&TsPtsOffset>, offset: Option<i64>) -> ExactTime {
    match mode {
        Some(TsPtsOffset::Seconds) => seconds(whole(offset).unwrap_or(2)),
        Some(TsPtsOffset::Milliseconds) => ExactTime::from_millis(offset.unwrap_or(2000).max(0)),
        None | Some(TsPtsOffset::Auto | TsPtsOffset::Other(_)) => seconds(2),
    }
}

impl TransportStream {
    /// Returns the packet identifier of audio track `index`, counted from 0.
    pub fn audio_pid(&self, index: usize) -> u16 {
        let last = self.audio_pids.last().copied().unwrap_or(PIDS.2);
        let more = u16::try_from(index.saturating_sub(self.audio_pids.len().saturating_sub(1))).unwrap_or(0);
        self.audio_pids.get(index).copied().unwrap_or(last.saturating_add(more))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_default_to_aws_model() {
        let own: M3u8Settings = serde_json::from_value(
            json!({"videoPid": 500, "audioPids": [501, 502], "ptsOffset": 5, "ptsOffsetMode": "SECONDS"}),
        )
        .unwrap();
        let stream = transport_stream(Some(&own));
        assert_eq!((stream.pmt_pid, stream.video_pid, stream.audio_pid(1)), (480, 500, 502));
        assert_eq!(stream.audio_pid(3), 504);
        assert_eq!(stream.first_pts.millis(), 5000);
        assert_eq!(transport_stream(None).first_pts.millis(), 2000);
    }
}
