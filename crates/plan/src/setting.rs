//! Reading wire members: in an optional member, out its text or whole number. Never a default: those stand where the
//! member's meaning is.

use abanico_media::ExactTime;

/// The text of an enum or string member.
pub(crate) fn text<T: AsRef<str>>(member: &Option<T>) -> Option<&str> {
    member.as_ref().map(AsRef::as_ref)
}

/// A member that counts something: negative numbers are none.
pub(crate) fn whole(member: Option<i64>) -> Option<u64> {
    member.and_then(|number| u64::try_from(number).ok())
}

/// Whole seconds as a time.
pub(crate) fn seconds(whole: u64) -> ExactTime {
    ExactTime::from_millis(i64::try_from(whole).unwrap_or(i64::MAX / 1000).min(i64::MAX / 1000) * 1000)
}

/// A member in seconds that the model has as a floating-point number, to a millisecond; negative ones are zero.
pub(crate) fn decimal_seconds(member: Option<f64>) -> ExactTime {
    ExactTime::from_millis((member.unwrap_or(0.0).max(0.0) * 1000.0).round() as i64)
}
