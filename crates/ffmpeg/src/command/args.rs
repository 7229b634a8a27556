//! The argument list of one ffmpeg process while it is being built, and the arguments that all of them share.

use std::ffi::OsString;
use std::path::Path;

/// An argument list under construction.
pub(crate) struct Args(Vec<OsString>);

impl Args {
    /// Starts with the arguments that every ffmpeg run here shares.
    pub(super) fn new() -> Self {
        let mut args = Self(Vec::new());
        // Log only warnings: stderr is for people who investigate a failure. Never read from a terminal.
        // Report progress as `key=value` lines.
        args.all([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "warning",
            "-nostats",
            "-progress",
            "pipe:1",
            "-y",
        ]);
        args
    }

    /// Like [`Args::new`], but for users' files: keeps the files' own time stamps. Without `-copyts`, ffmpeg
    /// moves a file's start to zero, and which start it uses depends on the container and on the streams that
    /// are read (seen with 5.1.9: in a transport stream, the video's own start when only the video is read).
    pub(super) fn of_foreign_files() -> Self {
        let mut args = Self::new();
        args.all(["-copyts"]);
        args
    }

    /// Appends arguments.
    pub(crate) fn all<const N: usize>(&mut self, words: [&str; N]) -> &mut Self {
        self.0.extend(words.map(OsString::from));
        self
    }

    /// Appends a flag and its value.
    pub(crate) fn pair(&mut self, flag: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(flag.into());
        self.0.push(value.into());
        self
    }

    /// Appends a path in a form that ffmpeg cannot take for a flag or a URL.
    pub(super) fn path(&mut self, flag: Option<&str>, path: &Path) -> &mut Self {
        self.0.extend(flag.map(OsString::from));
        let mut url = OsString::from("file:");
        url.push(path);
        self.0.push(url);
        self
    }

    /// Adds a user's file as an input. Only demuxers and protocols that cannot reach other files or hosts may
    /// read it.
    pub(super) fn foreign_input(&mut self, path: &Path) -> &mut Self {
        self.pair("-protocol_whitelist", "file").pair("-format_whitelist", crate::probe::FORMATS);
        self.path(Some("-i"), path)
    }

    /// Ends an output. The file names neither its creator nor its creation time, so that equal work gives
    /// equal bytes.
    pub(super) fn output(&mut self, format: &str, path: &Path) -> &mut Self {
        self.all(["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", format]);
        self.path(None, path)
    }

    /// Returns the finished list.
    pub(super) fn finish(self) -> Vec<OsString> {
        self.0
    }
}
