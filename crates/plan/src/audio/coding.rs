//! Translates the codec settings of an audio description into what the encoder must do, without ffmpeg flags.
//! Defaults and ranges are those of AWS's service model unless a comment says otherwise.

use abanico_media::{ExactTime, Rational};
use abanico_model::generated::{
    AacCodecProfile, AacCodingMode, AacRateControlMode, AacSettings, AacVbrQuality, Ac3CodingMode,
    AudioCodec as WireCodec, AudioCodecSettings, Eac3CodingMode, Eac3LfeControl, Mp3RateControlMode,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setting::whole;

/// An audio codec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioCodec {
    /// AAC-LC.
    Aac,
    /// MPEG-1 layer II.
    Mp2,
    /// MPEG-1 layer III.
    Mp3,
    /// Dolby Digital.
    Ac3,
    /// Dolby Digital Plus.
    Eac3,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// FLAC.
    Flac,
    /// Little-endian samples.
    Wav,
    /// Big-endian samples.
    Aiff,
}

impl AudioCodec {
    /// Returns the codec in AWS's model.
    pub fn wire(self) -> WireCodec {
        match self {
            Self::Aac => WireCodec::Aac,
            Self::Mp2 => WireCodec::Mp2,
            Self::Mp3 => WireCodec::Mp3,
            Self::Ac3 => WireCodec::Ac3,
            Self::Eac3 => WireCodec::Eac3,
            Self::Opus => WireCodec::Opus,
            Self::Vorbis => WireCodec::Vorbis,
            Self::Flac => WireCodec::Flac,
            Self::Wav => WireCodec::Wav,
            Self::Aiff => WireCodec::Aiff,
        }
    }

    /// Returns the codec with this ffprobe name.
    pub(crate) fn of_source(name: &str) -> Option<Self> {
        Some(match name {
            "aac" => Self::Aac,
            "mp2" => Self::Mp2,
            "mp3" => Self::Mp3,
            "ac3" => Self::Ac3,
            "eac3" => Self::Eac3,
            "opus" => Self::Opus,
            "vorbis" => Self::Vorbis,
            "flac" => Self::Flac,
            "pcm_s16le" => Self::Wav,
            "pcm_s16be" => Self::Aiff,
            _ => return None,
        })
    }

    /// Returns ffmpeg's name of the encoder.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Mp2 => "mp2",
            Self::Mp3 => "libmp3lame",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Opus => "libopus",
            Self::Vorbis => "libvorbis",
            Self::Flac => "flac",
            Self::Wav => "pcm_s16le",
            Self::Aiff => "pcm_s16be",
        }
    }

    /// Returns the samples of priming that the encoder puts before the audio (measured with ffmpeg 5.1.9 as
    /// the time of the first packet).
    fn delay_samples(self) -> i64 {
        match self {
            Self::Aac => 1024,
            Self::Mp2 => 481,
            Self::Mp3 => 1105,
            Self::Ac3 | Self::Eac3 => 256,
            Self::Opus => 312,
            Self::Vorbis | Self::Flac | Self::Wav | Self::Aiff => 0,
        }
    }

    /// Returns the samples per packet, if all packets have the same number.
    pub fn frame_samples(self) -> Option<u32> {
        match self {
            Self::Aac => Some(1024),
            Self::Mp2 | Self::Mp3 => Some(1152),
            Self::Ac3 | Self::Eac3 => Some(1536),
            _ => None,
        }
    }

    /// Returns the codec's name in manifests (RFC 6381), if manifests support it.
    pub fn manifest_name(self) -> Option<&'static str> {
        match self {
            Self::Aac => Some("mp4a.40.2"),
            Self::Mp3 => Some("mp4a.40.34"),
            Self::Ac3 => Some("ac-3"),
            Self::Eac3 => Some("ec-3"),
            _ => None,
        }
    }
}

/// How many bits are spent on the audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioRate {
    /// Bits per second.
    BitRate(u64),
    /// The encoder's own measure of quality, in tenths.
    QualityTenths(i64),
    /// Lossless with this many bits per sample: 16 or 24.
    Lossless(u8),
    /// Nothing: the source's packets are copied. The first packet is this much earlier than the video.
    Copied(ExactTime),
}

/// Settings of one audio encode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioCoding {
    /// The codec.
    pub codec: AudioCodec,
    /// How many bits are spent.
    pub rate: AudioRate,
    /// Sampling rate.
    pub sample_rate_hz: u32,
    /// Channels, 1 to 64.
    pub channels: u16,
}

impl AudioCoding {
    /// Returns the length of the encoder's priming, which comes before the audio proper.
    pub fn delay(&self) -> ExactTime {
        if let AudioRate::Copied(lead) = self.rate {
            return lead;
        }
        let rate = i64::from(self.sample_rate_hz.max(1));
        ExactTime::from_ticks(self.codec.delay_samples(), Rational::new(1, rate))
    }

    /// Returns the samples per packet of an encode, if all its packets have the same number.
    pub fn packet_samples(&self) -> Option<u32> {
        match (self.rate, self.codec) {
            (AudioRate::Copied(_), _) => None,
            // Layer III has half as many samples per packet at the rates of MPEG-2 (ISO/IEC 13818-3).
            (_, AudioCodec::Mp3) if self.sample_rate_hz < 32_000 => Some(576),
            (_, codec) => codec.frame_samples(),
        }
    }

    /// Returns ffprobe's name of the codec.
    pub fn probed_name(&self) -> &'static str {
        match (self.codec, self.rate) {
            (AudioCodec::Wav, AudioRate::Lossless(24)) => "pcm_s24le",
            (AudioCodec::Aiff, AudioRate::Lossless(24)) => "pcm_s24be",
            (AudioCodec::Mp3, _) => "mp3",
            (AudioCodec::Opus, _) => "opus",
            (AudioCodec::Vorbis, _) => "vorbis",
            (codec, _) => codec.encoder(),
        }
    }

    /// Returns the bits per second: the fixed rate, or that of the samples if they are lossless.
    pub fn bit_rate_bps(&self) -> Option<u64> {
        match self.rate {
            AudioRate::BitRate(rate) => Some(rate),
            AudioRate::Lossless(bits) => {
                Some(u64::from(self.sample_rate_hz) * u64::from(self.channels) * u64::from(bits))
            }
            AudioRate::QualityTenths(_) | AudioRate::Copied(_) => None,
        }
    }

    /// Reads an output's codec settings. `source_channels` is used if the job follows the input.
    pub(crate) fn from_settings(
        settings: &AudioCodecSettings,
        source_channels: u16,
        pointer: &str,
    ) -> Result<Self, Error> {
        let place = Place { pointer, source_channels };
        // Old job files omit the codec and give only the settings of AAC.
        match settings.codec.as_ref().unwrap_or(&WireCodec::Aac) {
            WireCodec::Aac => {
                let aac = settings.aac_settings.as_ref().ok_or_else(|| place.missing("aacSettings"))?;
                place.aac(aac)
            }
            codec => place.other(codec, settings),
        }
    }
}

/// Where the settings are in the job, and the source's channels that they may follow.
#[derive(Clone, Copy)]
struct Place<'a> {
    pointer: &'a str,
    source_channels: u16,
}

impl Place<'_> {
    fn missing(self, member: &str) -> Error {
        Error::setting(self.pointer, &format!("{member} is a required property"))
    }

    fn coding(
        self,
        codec: AudioCodec,
        rate: AudioRate,
        sample_rate: Option<i64>,
        channels: u16,
    ) -> AudioCoding {
        let rate_hz = whole(sample_rate).and_then(|rate| u32::try_from(rate).ok()).unwrap_or(48_000);
        AudioCoding { codec, rate, sample_rate_hz: rate_hz, channels }
    }

    fn aac(self, aac: &AacSettings) -> Result<AudioCoding, Error> {
        use AacCodecProfile::{Hev1, Hev2, Xhe};
        if let Some(profile @ (Hev1 | Hev2 | Xhe)) = &aac.codec_profile {
            let why = format!("profile {profile} has no free encoder: use LC");
            return Err(Error::setting(&format!("{}/aacSettings/codecProfile", self.pointer), &why));
        }
        let channels = match &aac.coding_mode {
            Some(AacCodingMode::CodingMode10 | AacCodingMode::AdReceiverMix) => 1,
            Some(AacCodingMode::CodingMode11) => return Err(self.two_programmes("aacSettings")),
            Some(AacCodingMode::CodingMode51) => 6,
            Some(AacCodingMode::CodingModeAuto) => follow(self.source_channels, &[1, 2, 6]),
            None | Some(AacCodingMode::CodingMode20 | AacCodingMode::Other(_)) => 2,
        };
        let rate = if aac.rate_control_mode == Some(AacRateControlMode::Vbr) {
            // ffmpeg's encoder takes 0.1 to 2. These steps give about 80, 110, 140 and 190 kb/s for stereo.
            AudioRate::QualityTenths(match &aac.vbr_quality {
                Some(AacVbrQuality::Low) => 6,
                Some(AacVbrQuality::MediumLow) => 10,
                None | Some(AacVbrQuality::MediumHigh | AacVbrQuality::Other(_)) => 14,
                Some(AacVbrQuality::High) => 20,
            })
        } else {
            AudioRate::BitRate(whole(aac.bitrate).unwrap_or(96_000))
        };
        Ok(self.coding(AudioCodec::Aac, rate, aac.sample_rate, channels))
    }

    fn other(self, codec: &WireCodec, settings: &AudioCodecSettings) -> Result<AudioCoding, Error> {
        match codec {
            WireCodec::Mp2 => self.mp2(settings),
            WireCodec::Mp3 => self.mp3(settings),
            WireCodec::Ac3 => self.ac3(settings),
            WireCodec::Eac3 => self.eac3(settings),
            WireCodec::Opus => {
                let opus = settings.opus_settings.as_ref();
                let rate = AudioRate::BitRate(opus.and_then(|opus| whole(opus.bitrate)).unwrap_or(96_000));
                let channels = self.channels(opus.and_then(|opus| opus.channels), &[1, 2]);
                Ok(self.coding(AudioCodec::Opus, rate, opus.and_then(|opus| opus.sample_rate), channels))
            }
            WireCodec::Vorbis => {
                let vorbis = settings.vorbis_settings.as_ref();
                let quality = vorbis.and_then(|vorbis| vorbis.vbr_quality).unwrap_or(4);
                let rate = AudioRate::QualityTenths(quality * 10);
                let channels = self.channels(vorbis.and_then(|vorbis| vorbis.channels), &[1, 2]);
                let sample_rate = vorbis.and_then(|vorbis| vorbis.sample_rate);
                Ok(self.coding(AudioCodec::Vorbis, rate, sample_rate, channels))
            }
            WireCodec::Flac => {
                let flac = settings.flac_settings.as_ref();
                let channels = self.channels(flac.and_then(|flac| flac.channels), &[1, 2, 4, 6, 8]);
                let rate = bits(flac.and_then(|flac| flac.bit_depth));
                Ok(self.coding(AudioCodec::Flac, rate, flac.and_then(|flac| flac.sample_rate), channels))
            }
            WireCodec::Wav => {
                let wav = settings.wav_settings.as_ref();
                let channels = self.channels(wav.and_then(|wav| wav.channels), &[]);
                let rate = bits(wav.and_then(|wav| wav.bit_depth));
                Ok(self.coding(AudioCodec::Wav, rate, wav.and_then(|wav| wav.sample_rate), channels))
            }
            WireCodec::Aiff => {
                let aiff = settings.aiff_settings.as_ref();
                let channels = self.channels(aiff.and_then(|aiff| aiff.channels), &[]);
                let rate = bits(aiff.and_then(|aiff| aiff.bit_depth));
                Ok(self.coding(AudioCodec::Aiff, rate, aiff.and_then(|aiff| aiff.sample_rate), channels))
            }
            other => Err(Error::setting(&format!("{}/codec", self.pointer), &no_encoder(other))),
        }
    }

    fn mp2(self, settings: &AudioCodecSettings) -> Result<AudioCoding, Error> {
        let mp2 = settings.mp2_settings.as_ref();
        let channels = self.channels(mp2.and_then(|mp2| mp2.channels), &[1, 2]);
        let sample_rate = mp2.and_then(|mp2| mp2.sample_rate);
        self.check_rate(sample_rate, &[32_000, 44_100, 48_000], "mp2Settings")?;
        let rate = AudioRate::BitRate(mp2.and_then(|mp2| whole(mp2.bitrate)).unwrap_or(192_000));
        Ok(self.coding(AudioCodec::Mp2, rate, sample_rate, channels))
    }

    fn mp3(self, settings: &AudioCodecSettings) -> Result<AudioCoding, Error> {
        let mp3 = settings.mp3_settings.as_ref();
        let channels = self.channels(mp3.and_then(|mp3| mp3.channels), &[1, 2]);
        let sample_rate = mp3.and_then(|mp3| mp3.sample_rate);
        self.check_rate(sample_rate, &[22_050, 24_000, 32_000, 44_100, 48_000], "mp3Settings")?;
        let is_variable = mp3.is_some_and(|mp3| mp3.rate_control_mode == Some(Mp3RateControlMode::Vbr));
        let rate = if is_variable {
            AudioRate::QualityTenths(mp3.and_then(|mp3| mp3.vbr_quality).unwrap_or(4) * 10)
        } else {
            AudioRate::BitRate(mp3.and_then(|mp3| whole(mp3.bitrate)).unwrap_or(128_000))
        };
        Ok(self.coding(AudioCodec::Mp3, rate, sample_rate, channels))
    }

    fn ac3(self, settings: &AudioCodecSettings) -> Result<AudioCoding, Error> {
        let ac3 = settings.ac3_settings.as_ref();
        let channels = match ac3.and_then(|ac3| ac3.coding_mode.as_ref()) {
            Some(Ac3CodingMode::CodingMode10) => 1,
            Some(Ac3CodingMode::CodingMode11) => return Err(self.two_programmes("ac3Settings")),
            None | Some(Ac3CodingMode::CodingMode20 | Ac3CodingMode::Other(_)) => 2,
            Some(Ac3CodingMode::CodingMode32Lfe) => 6,
            Some(Ac3CodingMode::CodingModeAuto) => follow(self.source_channels, &[1, 2, 6]),
        };
        // Default of each coding mode (ETSI TS 102 366, as quoted by AWS's model).
        let default = match channels {
            1 => 96_000,
            2 => 192_000,
            _ => 384_000,
        };
        let rate = AudioRate::BitRate(ac3.and_then(|ac3| whole(ac3.bitrate)).unwrap_or(default));
        Ok(self.coding(AudioCodec::Ac3, rate, None, channels))
    }

    fn eac3(self, settings: &AudioCodecSettings) -> Result<AudioCoding, Error> {
        let eac3 = settings.eac3_settings.as_ref();
        let with_lfe = eac3.is_none_or(|eac3| eac3.lfe_control != Some(Eac3LfeControl::NoLfe));
        let surround = if with_lfe { 6 } else { 5 };
        let channels = match eac3.and_then(|eac3| eac3.coding_mode.as_ref()) {
            Some(Eac3CodingMode::CodingMode10) => 1,
            None | Some(Eac3CodingMode::CodingMode20 | Eac3CodingMode::Other(_)) => 2,
            Some(Eac3CodingMode::CodingMode32) => surround,
            Some(Eac3CodingMode::CodingModeAuto) => follow(self.source_channels, &[1, 2, surround]),
        };
        let default = match channels {
            1 => 96_000,
            2 => 192_000,
            _ => 384_000,
        };
        let rate = AudioRate::BitRate(eac3.and_then(|eac3| whole(eac3.bitrate)).unwrap_or(default));
        Ok(self.coding(AudioCodec::Eac3, rate, None, channels))
    }

    fn two_programmes(self, member: &str) -> Error {
        let pointer = format!("{}/{member}/codingMode", self.pointer);
        Error::setting(&pointer, "two programmes in one stream are not supported: use two audio descriptions")
    }

    /// Returns the channels that the settings name; 0 follows the source, and the default is two.
    fn channels(self, named: Option<i64>, possible: &[u16]) -> u16 {
        match named {
            Some(0) => follow(self.source_channels, possible),
            Some(count) => u16::try_from(count).unwrap_or(2).clamp(1, 64),
            None => 2,
        }
    }

    fn check_rate(self, named: Option<i64>, possible: &[i64], member: &str) -> Result<(), Error> {
        match named {
            Some(rate) if !possible.contains(&rate) => {
                let list: Vec<String> = possible.iter().map(i64::to_string).collect();
                let why = format!("{rate} is not supported: use one of {}", list.join(", "));
                Err(Error::setting(&format!("{}/{member}/sampleRate", self.pointer), &why))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the largest possible number of channels that does not exceed the source's, or the smallest possible
/// number if all exceed it.
fn follow(source: u16, possible: &[u16]) -> u16 {
    if possible.is_empty() {
        return source.max(1);
    }
    let fitting = possible.iter().filter(|count| **count <= source).max();
    fitting.or(possible.iter().min()).copied().unwrap_or(2)
}

fn bits(named: Option<i64>) -> AudioRate {
    AudioRate::Lossless(if named.is_some_and(|bits| bits > 16) { 24 } else { 16 })
}

fn no_encoder(codec: &WireCodec) -> String {
    let instead = match codec {
        WireCodec::Ac4 | WireCodec::Eac3Atmos => "there is no free encoder, use EAC3",
        WireCodec::Passthrough => "use AAC, or WAV for lossless audio",
        _ => "use AAC",
    };
    format!("{codec} is not supported: {instead}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn coding(settings: Value, source_channels: u16) -> Result<AudioCoding, Error> {
        let settings: AudioCodecSettings = serde_json::from_value(settings).unwrap();
        AudioCoding::from_settings(&settings, source_channels, "/c")
    }

    #[test]
    fn codecs_default_to_aws_model() {
        let cases = [
            (
                json!({"codec": "AAC", "aacSettings": {"codingMode": "CODING_MODE_2_0"}}),
                "aac",
                Some(96_000),
                2,
            ),
            (json!({"codec": "MP2"}), "mp2", Some(192_000), 2),
            (
                json!({"codec": "MP3", "mp3Settings": {"rateControlMode": "VBR", "vbrQuality": 2}}),
                "mp3",
                None,
                2,
            ),
            (
                json!({"codec": "AC3", "ac3Settings": {"codingMode": "CODING_MODE_3_2_LFE"}}),
                "ac3",
                Some(384_000),
                6,
            ),
            (
                json!({"codec": "EAC3", "eac3Settings": {"codingMode": "CODING_MODE_3_2", "lfeControl": "NO_LFE"}}),
                "eac3",
                Some(384_000),
                5,
            ),
            (json!({"codec": "OPUS"}), "opus", Some(96_000), 2),
            (json!({"codec": "VORBIS"}), "vorbis", None, 2),
            (json!({"codec": "FLAC", "flacSettings": {"bitDepth": 24}}), "flac", Some(2_304_000), 2),
            (
                json!({"codec": "WAV", "wavSettings": {"bitDepth": 24, "channels": 1}}),
                "pcm_s24le",
                Some(1_152_000),
                1,
            ),
            (json!({"codec": "AIFF"}), "pcm_s16be", Some(1_536_000), 2),
        ];
        for (settings, name, bit_rate, channels) in cases {
            let coding = coding(settings.clone(), 2).unwrap();
            assert_eq!(
                (coding.probed_name(), coding.bit_rate_bps(), coding.channels),
                (name, bit_rate, channels),
                "{settings}"
            );
            assert_eq!(coding.sample_rate_hz, 48_000);
        }
    }

    #[test]
    fn channels_follow_the_source_within_codec_limits() {
        let auto = |channels| {
            coding(json!({"codec": "AAC", "aacSettings": {"codingMode": "CODING_MODE_AUTO"}}), channels)
                .unwrap()
                .channels
        };
        assert_eq!((auto(1), auto(2), auto(5), auto(8)), (1, 2, 2, 6));
        let wav = |channels| {
            coding(json!({"codec": "WAV", "wavSettings": {"channels": 0}}), channels).unwrap().channels
        };
        assert_eq!((wav(1), wav(5)), (1, 5));
    }

    #[test]
    fn unsupported_codecs_are_refused_with_alternatives() {
        let refused = |settings| coding(settings, 2).unwrap_err().to_string();
        assert!(refused(json!({"codec": "AC4"})).contains("use EAC3"));
        assert!(refused(json!({"codec": "AAC", "aacSettings": {"codecProfile": "HEV1"}})).contains("use LC"));
        assert!(refused(json!({"codec": "AAC"})).contains("aacSettings is a required property"));
        assert!(refused(json!({"codec": "MP2", "mp2Settings": {"sampleRate": 40_000}})).contains("44100"));
    }
}
