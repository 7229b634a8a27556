//! Finds ffmpeg and ffprobe and prepares commands that start them.
//!
//! Looks at explicit paths, environment variables and `PATH`, and nowhere else. No shell is involved.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::{Error, ErrorKind};

/// What to do if a tool is missing or has the wrong version.
pub(crate) const REMEDY: &str = "install it with `apt-get install ffmpeg`, or set the path of another one";

/// Builds the command that starts a program which may read only the given files. The caller appends the
/// program's own arguments.
pub type Launcher = Arc<dyn Fn(&Path, &[&Path]) -> Command + Send + Sync>;

/// The two programs that this crate starts.
#[derive(Clone)]
pub struct Tools {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    launcher: Launcher,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools")
            .field("ffmpeg", &self.ffmpeg)
            .field("ffprobe", &self.ffprobe)
            .finish_non_exhaustive()
    }
}

impl Tools {
    /// Finds both programs: an explicit path wins, then `ABANICO_FFMPEG` and `ABANICO_FFPROBE`, then `PATH`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Tool`] if one is missing.
    pub fn find(ffmpeg: Option<&Path>, ffprobe: Option<&Path>) -> Result<Self, Error> {
        let environment = |name: &str| std::env::var_os(name);
        Ok(Self::at(locate("ffmpeg", ffmpeg, &environment)?, locate("ffprobe", ffprobe, &environment)?))
    }

    /// Uses these two programs without checking that they exist.
    pub fn at(ffmpeg: PathBuf, ffprobe: PathBuf) -> Self {
        Self { ffmpeg, ffprobe, launcher: Arc::new(|program, _| Command::new(program)) }
    }

    /// Starts programs that look at files through `launcher` from now on, for example one that enters a sandbox first.
    #[must_use]
    pub fn with_launcher(mut self, launcher: Launcher) -> Self {
        self.launcher = launcher;
        self
    }

    /// Returns the path of ffmpeg.
    pub fn ffmpeg(&self) -> &Path {
        &self.ffmpeg
    }

    /// Returns the path of ffprobe.
    pub fn ffprobe(&self) -> &Path {
        &self.ffprobe
    }

    /// Returns a command for ffprobe, which may read only `readable` if the launcher is a sandbox. The caller
    /// adds the arguments and starts it as a tool of [`abanico_process`].
    pub fn ffprobe_command(&self, readable: &[&Path]) -> Command {
        (self.launcher)(&self.ffprobe, readable)
    }

    /// Returns a command for ffmpeg that only looks at files, as [`Tools::ffprobe_command`] does.
    pub(crate) fn ffmpeg_command(&self, readable: &[&Path]) -> Command {
        (self.launcher)(&self.ffmpeg, readable)
    }

    /// Returns a command that asks ffmpeg about itself; it reads no files.
    pub(crate) fn query_command(&self) -> Command {
        Command::new(&self.ffmpeg)
    }
}

/// Finds one program.
fn locate(
    name: &str,
    explicit: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Error> {
    let variable = format!("ABANICO_{}", name.to_uppercase());
    let named = explicit.map(Path::to_owned).or_else(|| environment(&variable).map(PathBuf::from));
    if let Some(path) = named {
        return if path.is_file() { Ok(path) } else { Err(missing(&path.display().to_string(), &variable)) };
    }
    let folders = environment("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| missing(name, &variable))
}

fn missing(name: &str, variable: &str) -> Error {
    Error::new(ErrorKind::Tool, format!("`{name}` was not found; {REMEDY} in `{variable}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(name: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "").unwrap();
        folder
    }

    #[test]
    fn explicit_path_wins_then_environment_then_search_path() {
        let [explicit, variable, path] = [(); 3].map(|()| folder_with("ffprobe"));
        let at = |folder: &tempfile::TempDir| folder.path().join("ffprobe");
        let full = |name: &str| match name {
            "ABANICO_FFPROBE" => Some(at(&variable).into_os_string()),
            "PATH" => Some(path.path().as_os_str().to_owned()),
            _ => None,
        };
        let only_path = |name: &str| if name == "PATH" { full(name) } else { None };
        assert_eq!(locate("ffprobe", Some(&at(&explicit)), &full).unwrap(), at(&explicit));
        assert_eq!(locate("ffprobe", None, &full).unwrap(), at(&variable));
        assert_eq!(locate("ffprobe", None, &only_path).unwrap(), at(&path));
    }

    #[test]
    fn missing_tool_error_says_how_to_install() {
        let error = locate("ffmpeg", None, &|_| None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tool);
        let message = error.to_string();
        assert!(
            message.contains("apt-get install ffmpeg") && message.contains("ABANICO_FFMPEG"),
            "{message}"
        );
        let named = locate("ffmpeg", Some(Path::new("/no/such/ffmpeg")), &|_| None).unwrap_err();
        assert!(named.to_string().contains("`/no/such/ffmpeg`"), "a wrong explicit path is never replaced");
    }

    #[test]
    fn launcher_gets_program_and_readable_files() {
        let tools = Tools::at("/x/ffmpeg".into(), "/x/ffprobe".into()).with_launcher(Arc::new(
            |program, readable| {
                let mut command = Command::new("cage");
                command.args(readable).arg("--").arg(program);
                command
            },
        ));
        let command = tools.ffprobe_command(&[Path::new("/in/a.mp4")]);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(command.get_program(), "cage");
        assert_eq!(args, ["/in/a.mp4", "--", "/x/ffprobe"]);
    }
}
