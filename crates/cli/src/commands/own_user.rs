//! Gives up root's rights at the start: the server goes on as the user that the configuration names.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use nix::unistd::{User, chown, geteuid, initgroups, setgid, setuid};

use crate::failure::{Hinted, WRONG_USAGE};

/// Becomes the user `name`, if one is named, with `data` as its own folder. Without a name, warns if this is root and
/// `stays_up`: a server for one command is as trusted as the command.
///
/// # Errors
/// Fails if there is no such user, if another user than root asks for it, or if `data` belongs to somebody else.
pub fn become_user(name: Option<&str>, data: &Path, stays_up: bool) -> anyhow::Result<()> {
    let Some(name) = name else {
        if stays_up && geteuid().is_root() {
            tracing::warn!(
                "running as root: set `user` in the configuration to the name of a user without rights, or start \
                 abanico as one"
            );
        }
        return Ok(());
    };
    let wrong = |message: String, hint: String| anyhow::Error::new(Hinted::new(WRONG_USAGE, message, hint));
    let user = User::from_name(name).context("cannot read the list of users")?;
    let user = user.ok_or_else(|| {
        wrong(format!("there is no user `{name}`"), format!("create it: useradd --system {name}"))
    })?;
    if user.uid == geteuid() {
        return Ok(());
    }
    if !geteuid().is_root() {
        let hint = format!("start abanico as root or as `{name}`, or remove `user` from the configuration");
        return Err(wrong(format!("only root can become the user `{name}`"), hint));
    }
    own(data, &user).map_err(|message| {
        wrong(message, format!("give it to that user: chown -R {name}: {}", data.display()))
    })?;
    let login = CString::new(name).context("a user's name has a zero byte")?;
    initgroups(&login, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .with_context(|| format!("cannot become the user `{name}`"))?;
    tracing::info!(user = name, "gave up the rights of root");
    Ok(())
}

/// Creates the folder for `user`, or checks that it belongs to it.
fn own(data: &Path, user: &User) -> Result<(), String> {
    let refused = |what: &str, error: &dyn std::fmt::Display| {
        format!("cannot {what} the data folder `{}`: {error}", data.display())
    };
    if !data.exists() {
        std::fs::create_dir_all(data).map_err(|error| refused("create", &error))?;
        return chown(data, Some(user.uid), Some(user.gid)).map_err(|error| refused("give away", &error));
    }
    let owner = std::fs::metadata(data).map_err(|error| refused("look at", &error))?.uid();
    if owner == user.uid.as_raw() {
        return Ok(());
    }
    Err(format!("the data folder `{}` does not belong to the user `{}`", data.display(), user.name))
}
