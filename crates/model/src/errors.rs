//! MediaConvert's error codes for jobs that end in ERROR. The messages come from the code that failed.

macro_rules! job_error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Error code of a failed job. This is a selection from AWS's public list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum JobErrorCode { $($(#[$doc])* $name,)* }

        impl JobErrorCode {
            /// All named codes, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns MediaConvert's number.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }
        }
    };
}

job_error_codes! {
    /// The input cannot be opened: the path is wrong, a permission is missing, or the file is unsupported.
    InputNotOpened = 1010,
    /// The input has no video.
    NoVideo = 1020,
    /// The input has no audio.
    NoAudio = 1021,
    /// The codec or container is not supported.
    Unsupported = 1030,
    /// The settings conflict with each other or with the input.
    SettingsConflict = 1040,
    /// The settings conflict with acceleration.
    AccelerationConflict = 1041,
    /// The job is too small to accelerate.
    TooSmallToAccelerate = 1042,
    /// An input or output file cannot be opened.
    FileNotOpened = 1056,
    /// The timecodes of an input clipping lie outside the source.
    ClipOutsideSource = 1060,
    /// The demultiplexer cannot recover.
    DemuxFailed = 1075,
    /// The source cannot be read to its end, for example because it is truncated.
    ReadFailed = 1076,
    /// Encryption of an output failed.
    EncryptionFailed = 1091,
    /// The audio decoder cannot start.
    AudioDecoderFailed = 1092,
    /// Access to the object or bucket is denied.
    AccessDenied = 1401,
    /// The object or bucket does not exist.
    ObjectNotFound = 1404,
    /// The role lacks a permission.
    RoleLacksPermission = 1432,
    /// The role does not exist.
    RoleNotFound = 1433,
    /// The role cannot be assumed.
    RoleNotAssumable = 1434,
    /// Any error without a specific code.
    Unknown = 1999,
    /// An HTTP input requires authentication.
    HttpUnauthenticated = 3401,
    /// The HTTP server denies access to an input.
    HttpForbidden = 3403,
    /// An HTTP input does not exist.
    HttpNotFound = 3404,
    /// The HTTP server failed.
    HttpServerFailed = 3450,
    /// The HTTP server cannot be reached.
    HttpNotConnected = 3451,
    /// The account's policy forbids the input.
    InputDisallowed = 3457,
}

impl JobErrorCode {
    /// Finds a named code by its number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_round_trip() {
        assert!(JobErrorCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for code in JobErrorCode::ALL {
            assert_eq!(JobErrorCode::from_number(code.number()), Some(*code));
        }
        assert_eq!(JobErrorCode::from_number(1050), None);
    }

    #[test]
    fn common_errors_have_the_numbers_of_aws() {
        let codes = [JobErrorCode::InputNotOpened, JobErrorCode::ReadFailed, JobErrorCode::ObjectNotFound];
        assert_eq!(codes.map(JobErrorCode::number), [1010, 1076, 1404]);
    }
}
