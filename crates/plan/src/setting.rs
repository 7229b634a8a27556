//! Reads optional members of AWS's settings as text, whole numbers and times. Defaults belong at the call
//! site, where the meaning of the member is known.

use std::fmt::Display;

use abanico_media::ExactTime;

use crate::GroupKind;

/// Returns the text of an enum or string member.
pub(crate) fn text<T: AsRef<str>>(member: &Option<T>) -> Option<&str> {
    member.as_ref().map(AsRef::as_ref)
}

/// Lists values for a message, separated by commas.
pub(crate) fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(", ")
}

/// Returns a count; `None` if it is negative.
pub(crate) fn whole(member: Option<i64>) -> Option<u64> {
    member.and_then(|number| u64::try_from(number).ok())
}

/// Returns the length of a group's segments in seconds: the job's, otherwise AWS's default for this kind of group.
pub(crate) fn segment_seconds(member: Option<i64>, kind: GroupKind) -> u64 {
    let default = kind.facts().streams.as_ref().map_or(1, |streams| streams.segment_seconds);
    whole(member).filter(|length| *length > 0).unwrap_or(default)
}

/// Converts whole seconds to a time.
pub(crate) fn seconds(whole: u64) -> ExactTime {
    ExactTime::from_millis(i64::try_from(whole).unwrap_or(i64::MAX / 1000).min(i64::MAX / 1000) * 1000)
}

/// Converts a floating-point member in seconds to a time, rounded to a millisecond. Missing and negative
/// values are zero.
pub(crate) fn decimal_seconds(member: Option<f64>) -> ExactTime {
    ExactTime::from_millis((member.unwrap_or(0.0).max(0.0) * 1000.0).round() as i64)
}
