//! Arguments that are described to the parser only when their command was given. Attach is a
//! process for each container: describing all commands takes it longer than reading its own.

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

/// `T`, described late.
#[derive(Debug)]
pub struct Late<T>(pub T);

impl<T: FromArgMatches> FromArgMatches for Late<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Late<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_args_for_update))
    }
}

impl<T: Subcommand> Subcommand for Late<T> {
    fn augment_subcommands(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_subcommands))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        command.defer(|command| described(command, T::augment_subcommands_for_update))
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

/// The command with its arguments; what was said of it before stays, as of arguments described
/// at once.
fn described(command: Command, augment: impl FnOnce(Command) -> Command) -> Command {
    let about = command.get_about().cloned();
    let long_about = command.get_long_about().cloned();
    let command = augment(command);
    match about {
        Some(about) => command
            .about(about)
            .long_about(Resettable::from(long_about)),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::args::Cli;

    #[test]
    fn what_is_described_late_is_described_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_keeps_its_own_words_whatever_its_arguments_say() {
        let mut cli = Cli::command();
        cli.build();
        let status = cli.find_subcommand("status").unwrap();
        assert!(
            status
                .get_about()
                .unwrap()
                .to_string()
                .starts_with("Show this node")
        );
        assert!(status.get_arguments().any(|a| a.get_id() == "cluster"));
    }
}
