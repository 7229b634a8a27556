//! RFC 6381 codec names for the `CODECS` attribute, made from a stream's codec configuration record.

use crate::Error;

/// Returns `avc1.PPCCLL` for an `avcC` record (ISO/IEC 14496-15 section 5.3.3): profile, compatibility and
/// level in hexadecimal.
///
/// # Errors
/// Returns [`Error::CodecConfiguration`] if the record is too short or its version is not 1.
pub fn avc_codec(avcc: &[u8]) -> Result<String, Error> {
    match avcc {
        [1, profile, compatibility, level, ..] => {
            Ok(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"))
        }
        [_, _, _, _, ..] => Err(Error::CodecConfiguration { what: "avcC", why: "its version is not 1" }),
        _ => Err(Error::CodecConfiguration { what: "avcC", why: "it is shorter than 4 bytes" }),
    }
}

/// Returns `hvc1.…` for an `hvcC` record (ISO/IEC 14496-15 annex E.3): profile space and profile, compatibility
/// flags in reverse bit order, tier and level, then constraint bytes without trailing zeros. `entry` is the
/// name of the sample entry, `hvc1` or `hev1`.
///
/// # Errors
/// Returns [`Error::CodecConfiguration`] if the record is too short or its version is not 1.
pub fn hevc_codec(entry: &str, hvcc: &[u8]) -> Result<String, Error> {
    let Some(record) = hvcc.get(..13) else {
        return Err(Error::CodecConfiguration { what: "hvcC", why: "it is shorter than 13 bytes" });
    };
    if record[0] != 1 {
        return Err(Error::CodecConfiguration { what: "hvcC", why: "its version is not 1" });
    }
    let space = ["", "A", "B", "C"][usize::from(record[1] >> 6)];
    let profile = record[1] & 0x1f;
    let flags = u32::from_be_bytes([record[2], record[3], record[4], record[5]]).reverse_bits();
    let tier = if record[1] & 0x20 == 0 { 'L' } else { 'H' };
    let constraints = &record[6..12];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    Ok(format!("{entry}.{space}{profile}.{flags:X}.{tier}{}{constraints}", record[12]))
}

/// Returns `av01.P.LLT.DD` for an `av1C` record: profile, level, tier and bit depth (AV1 codec ISO media file
/// format binding, section 5).
///
/// # Errors
/// Returns [`Error::CodecConfiguration`] if the record is too short or its version is not 1.
pub fn av1_codec(av1c: &[u8]) -> Result<String, Error> {
    let [0x81, profile_and_level, flags, ..] = av1c else {
        return Err(Error::CodecConfiguration {
            what: "av1C",
            why: "it is too short, or its version is not 1",
        });
    };
    let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1f);
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Ok(format!("av01.{profile}.{level:02}{tier}.{depth:02}"))
}

/// Returns `vp09.PP.LL.DD` for a `vpcC` record, including its version and flags: profile, level and bit depth
/// (VP codec ISO media file format binding).
///
/// # Errors
/// Returns [`Error::CodecConfiguration`] if the record is too short or its version is not 1.
pub fn vp9_codec(vpcc: &[u8]) -> Result<String, Error> {
    let [1, _, _, _, profile, level, depth, ..] = vpcc else {
        return Err(Error::CodecConfiguration {
            what: "vpcC",
            why: "it is too short, or its version is not 1",
        });
    };
    Ok(format!("vp09.{profile:02}.{level:02}.{:02}", depth >> 4))
}

/// Returns the codec name of AAC with this MPEG-4 object type (2 is AAC-LC, 5 is HE-AAC, 29 is HE-AAC v2).
pub fn aac_codec(object_type: u8) -> String {
    format!("mp4a.40.{object_type}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avc_name_has_profile_compatibility_and_level() {
        assert_eq!(avc_codec(&[1, 0x64, 0, 0x1f, 0xff]).unwrap(), "avc1.64001f");
        assert_eq!(avc_codec(&[1, 0x42, 0xc0, 0x1e]).unwrap(), "avc1.42c01e");
        assert_eq!(
            avc_codec(&[1, 2]).unwrap_err().to_string(),
            "the codec configuration `avcC` cannot be read: it is shorter than 4 bytes"
        );
        assert!(avc_codec(&[0, 0x64, 0, 0x1f]).is_err());
    }

    #[test]
    fn hevc_name_follows_the_standard() {
        // Main profile, level 3.1, progressive and frame-only, as in a typical encode.
        let record = [1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        assert_eq!(hevc_codec("hvc1", &record).unwrap(), "hvc1.1.6.L93.90");
        let high_tier_main10 = [1, 0x22, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 153];
        assert_eq!(hevc_codec("hev1", &high_tier_main10).unwrap(), "hev1.2.4.H153.B0");
        assert!(hevc_codec("hvc1", &record[..12]).is_err());
    }

    #[test]
    fn av1_and_vp9_names_follow_their_bindings() {
        assert_eq!(av1_codec(&[0x81, 0x04, 0x0c, 0]).unwrap(), "av01.0.04M.08");
        assert_eq!(av1_codec(&[0x81, 0x2d, 0xc0]).unwrap(), "av01.1.13H.10");
        assert!(av1_codec(&[0x82, 4, 0]).is_err() && av1_codec(&[0x81, 4]).is_err());
        assert_eq!(vp9_codec(&[1, 0, 0, 0, 2, 31, 0xa2, 1]).unwrap(), "vp09.02.31.10");
        assert!(vp9_codec(&[0, 0, 0, 0, 2, 31, 0xa2]).is_err() && vp9_codec(&[1, 0, 0, 0, 2, 31]).is_err());
    }

    #[test]
    fn aac_name_has_its_object_type() {
        assert_eq!(aac_codec(2), "mp4a.40.2");
    }
}
