//! What an install or uninstall did to files, as text.

use std::path::Path;

use crate::install::{Act, Installed, Keep, Touched, Uninstalled};

/// The words for a file that is written, replaced, removed.
type Words = [&'static str; 3];

const DONE: Words = ["wrote", "replaced", "removed"];
const PLANNED: Words = ["would write", "would replace", "would remove"];

pub fn installed(outcome: &Installed) -> String {
    lines(&outcome.files, DONE)
}

/// The configuration's text comes along: it is what the user's words became.
pub fn install_planned(outcome: &Installed) -> String {
    lines(&outcome.files, PLANNED) + &outcome.conflist.print()
}

pub fn removed(outcome: &Uninstalled) -> String {
    lines(&outcome.files, DONE)
}

pub fn removal_planned(outcome: &Uninstalled) -> String {
    lines(&outcome.files, PLANNED)
}

fn lines(files: &[Touched], words: Words) -> String {
    files.iter().map(|file| line(file, words)).collect()
}

fn line(file: &Touched, [write, replace, remove]: Words) -> String {
    let path = file.path.display();
    match &file.act {
        Act::Written => format!("{write} {path}\n"),
        Act::Replaced => format!("{replace} {path}\n"),
        Act::Removed => format!("{remove} {path}\n"),
        Act::Unchanged => format!("unchanged {path}\n"),
        Act::Absent => format!("{path} is not there\n"),
        Act::Kept { why } => format!("kept {path}: {}\n", reason(why, &file.path)),
    }
}

fn reason(why: &Keep, kept: &Path) -> String {
    match why {
        Keep::Differs => "it is not as 'pontoon cni install' writes it".to_owned(),
        Keep::NothingToCompare => {
            let name = kept.file_name().unwrap_or_default().to_string_lossy();
            format!("there is no {name} beside this pontoon to compare it with")
        }
        Keep::UsedBy(path) => format!("{} names it", path.display()),
    }
}
