//! What the operating system had too little of when it refused something. Such failures are nobody's fault and pass.

use std::error::Error;
use std::io;

use nix::errno::Errno;

/// What there was too little of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lack {
    /// Room on a disk, or in its owner's share of it.
    Room,
    /// File descriptors: this process or the whole machine has too many open files.
    Descriptors,
}

impl Lack {
    /// Returns what an error of the operating system says is lacking.
    pub fn of_io(error: &io::Error) -> Option<Self> {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => return Some(Self::Room),
            Some(Errno::EMFILE | Errno::ENFILE) => return Some(Self::Descriptors),
            _ => {}
        }
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Room),
            _ => error.get_ref().and_then(|inner| Self::of(inner)),
        }
    }

    /// Returns what an error or one of its causes says is lacking.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        Self::found(error, &|_| None)
    }

    /// Like [`Self::of`], but also asks `told` about each error, for errors that this crate does not know.
    pub fn found(
        error: &(dyn Error + 'static),
        told: &dyn Fn(&(dyn Error + 'static)) -> Option<Self>,
    ) -> Option<Self> {
        let io = error.downcast_ref::<io::Error>();
        // An error inside an I/O error is not its source.
        let inner = io.and_then(|error| error.get_ref()).and_then(|inner| Self::found(inner, told));
        let own = inner.or_else(|| io.and_then(Self::of_io)).or_else(|| told(error));
        own.or_else(|| error.source().and_then(|source| Self::found(source, told)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("it broke")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn lack_is_found_wherever_it_is_told() {
        for (errno, lack) in [
            (Errno::ENOSPC, Some(Lack::Room)),
            (Errno::EDQUOT, Some(Lack::Room)),
            (Errno::EMFILE, Some(Lack::Descriptors)),
            (Errno::ENFILE, Some(Lack::Descriptors)),
            (Errno::EIO, None),
        ] {
            let error = || io::Error::from_raw_os_error(errno as i32);
            assert_eq!(Lack::of_io(&error()), lack, "{errno}");
            assert_eq!(Lack::of(&Outer(error())), lack, "{errno}: as a cause");
            let within = io::Error::other(Outer(io::Error::other(error())));
            assert_eq!(Lack::of(&within), lack, "{errno}: within other I/O errors");
        }
        assert_eq!(Lack::of_io(&io::ErrorKind::StorageFull.into()), Some(Lack::Room));
        assert_eq!(Lack::of(&io::Error::other("No space left on device")), None, "words alone mean nothing");
    }

    #[test]
    fn others_may_know_more_errors() {
        let told = |error: &(dyn Error + 'static)| error.is::<Outer>().then_some(Lack::Room);
        let error = io::Error::other(Outer(io::Error::other("?")));
        assert_eq!((Lack::found(&error, &told), Lack::of(&error)), (Some(Lack::Room), None));
    }
}
