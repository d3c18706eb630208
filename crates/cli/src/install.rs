//! Putting the CNI plugin, the name server where it is wanted, and a network's configuration list
//! where container runtimes look, and taking them away again.
//!
//! Here is decided what is written and what stays; `conflist` has the list's words, `files` does
//! the writing.

mod conflist;
mod error;
mod files;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::{CniInstall, CniPlaces};

pub use conflist::Conflist;
pub use error::InstallError;

use files::{File, MadeDirs, Place, Staged};
use names::PROGRAM as SERVER;

/// The plugin's name: of its file, and as configurations call it.
const PLUGIN: &str = "pontoon-cni";
/// The files that libcni reads as configurations, by the ends of their names.
const CONFIGURATIONS: [&str; 3] = ["conflist", "conf", "json"];
const PLUGIN_MODE: u32 = 0o755;
const CONFLIST_MODE: u32 = 0o644;

/// What an install did, or would do.
#[derive(Debug, Serialize)]
pub struct Installed {
    pub files: Vec<Touched>,
    pub conflist: Conflist,
}

/// What an uninstall did, or would do.
#[derive(Debug, Serialize)]
pub struct Uninstalled {
    pub files: Vec<Touched>,
}

/// A file and what became of it.
#[derive(Debug, Serialize)]
pub struct Touched {
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    #[serde(flatten)]
    pub act: Act,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Written,
    Replaced,
    Unchanged,
    Removed,
    /// There was nothing to remove.
    Absent,
    Kept {
        why: Keep,
    },
}

/// Why an uninstall leaves a file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// It is not as install writes it.
    Differs,
    /// There is none beside this pontoon to compare it with.
    NothingToCompare,
    /// This configuration names the plugin.
    UsedBy(#[serde(serialize_with = "as_text")] PathBuf),
}

fn as_text<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// What an install would do, checked.
pub struct Installation {
    files: Vec<(File, Place)>,
    conflist: Conflist,
}

impl Installation {
    /// Reads what there is and decides what is to be written.
    ///
    /// # Errors
    /// A network that can't be; no plugin, or no name server, beside this pontoon; files that can't be read; a
    /// configuration of the name with other content, unless it may be replaced.
    pub fn plan(args: CniInstall) -> anyhow::Result<Self> {
        let force = args.force;
        let places = &args.places;
        let mut programs = vec![PLUGIN];
        programs.extend(args.names.then_some(SERVER));
        let mut files = Vec::new();
        for name in programs {
            let program = File {
                path: places.dir.join(name),
                bytes: own(name)?,
                mode: PLUGIN_MODE,
            };
            let now = program.look()?;
            files.push((program, now));
        }
        let path = conflist_place(places);
        let conflist = Conflist::new(args)?;
        let list = File {
            path,
            bytes: conflist.print().into_bytes(),
            mode: CONFLIST_MODE,
        };
        let list_now = list.look()?;
        if let (Place::Other(found), false) = (&list_now, force) {
            let found = String::from_utf8_lossy(found).into_owned();
            return Err(InstallError::ConflistDiffers {
                path: list.path,
                found,
                wanted: conflist.print(),
            }
            .into());
        }
        files.push((list, list_now));
        Ok(Self { files, conflist })
    }

    /// Writes all of it, or nothing. The programs come first, so that no configuration names one
    /// that is not there.
    ///
    /// # Errors
    /// Directories and files that can't be made; then all is as it was.
    pub fn apply(&self) -> Result<(), InstallError> {
        let mut dirs = MadeDirs::default();
        let mut staged = Vec::new();
        for (file, place) in &self.files {
            if *place != Place::Same {
                dirs.ensure(&file.path)?;
                staged.push(Staged::new(file)?);
            }
        }
        if let Err(error) = staged.iter_mut().try_for_each(Staged::commit) {
            staged.iter_mut().for_each(Staged::undo);
            return Err(error);
        }
        dirs.keep();
        Ok(())
    }

    /// What was done, or would be.
    pub fn outcome(self) -> Installed {
        let touched = self.files.into_iter().map(|(file, place)| Touched {
            path: file.path,
            act: match place {
                Place::Empty => Act::Written,
                Place::Same => Act::Unchanged,
                Place::Other(_) => Act::Replaced,
            },
        });
        Installed {
            files: touched.collect(),
            conflist: self.conflist,
        }
    }
}

/// What an uninstall would do.
///
/// # Errors
/// Files that can't be read.
pub fn plan_removal(places: &CniPlaces) -> Result<Uninstalled, InstallError> {
    let path = conflist_place(places);
    let act = match files::read(&path)? {
        None => Act::Absent,
        Some(bytes) if conflist::is_written_here(&bytes, &places.network) => Act::Removed,
        Some(_) => Act::Kept { why: Keep::Differs },
    };
    let list = Touched { path, act };
    let mut programs = Vec::new();
    for name in [PLUGIN, SERVER] {
        let path = places.dir.join(name);
        let act = removal(name, &path, places, &list)?;
        // The server is there only where somebody wanted names.
        if name == PLUGIN || !matches!(act, Act::Absent) {
            programs.push(Touched { path, act });
        }
    }
    let mut files = vec![list];
    files.append(&mut programs);
    Ok(Uninstalled { files })
}

/// What becomes of a program: the server goes when the plugin does.
fn removal(
    name: &'static str,
    path: &Path,
    places: &CniPlaces,
    list: &Touched,
) -> Result<Act, InstallError> {
    let Some(bytes) = files::read(path)? else {
        return Ok(Act::Absent);
    };
    let goes = matches!(list.act, Act::Removed).then_some(list.path.as_path());
    let why = match (own(name), user_of_plugin(&places.conf_dir, goes)?) {
        (_, Some(user)) => Keep::UsedBy(user),
        (Err(_), None) => Keep::NothingToCompare,
        (Ok(own), None) if own != bytes => Keep::Differs,
        (Ok(_), None) => return Ok(Act::Removed),
    };
    Ok(Act::Kept { why })
}

/// Removes what a plan of removal says.
///
/// # Errors
/// A file that can't be removed.
pub fn remove(planned: &Uninstalled) -> Result<(), InstallError> {
    let removed = planned
        .files
        .iter()
        .filter(|file| matches!(file.act, Act::Removed));
    removed
        .map(|file| &file.path)
        .try_for_each(|path| files::remove(path))
}

fn conflist_place(places: &CniPlaces) -> PathBuf {
    let name = format!("10-pontoon-{}.conflist", places.network);
    places.conf_dir.join(name)
}

/// The plugin, or the name server, that came with this very program.
fn own(name: &'static str) -> Result<Vec<u8>, InstallError> {
    let own = std::env::current_exe().map_err(InstallError::FindOneself)?;
    let path = own.with_file_name(name);
    fs::read(&path).map_err(|source| InstallError::ReadProgram { name, path, source })
}

/// A configuration that names the plugin, other than the one that goes.
fn user_of_plugin(conf_dir: &Path, goes: Option<&Path>) -> Result<Option<PathBuf>, InstallError> {
    let quoted = format!("\"{PLUGIN}\"");
    let is_configuration = |path: &PathBuf| {
        let end = path.extension().and_then(|end| end.to_str());
        end.is_some_and(|end| CONFIGURATIONS.contains(&end))
    };
    for path in files::list(conf_dir)?.into_iter().filter(is_configuration) {
        let text = files::read(&path)?.unwrap_or_default();
        if goes != Some(path.as_path()) && String::from_utf8_lossy(&text).contains(&quoted) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
