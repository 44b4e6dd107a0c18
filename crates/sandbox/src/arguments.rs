//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use lexopt::{Arg, Parser, ValueExt as _};

pub(crate) const USAGE: &str = "\
Plays Ferry on this machine: a simulated Bitbucket, a simulated Port, and the real function between them.

Usage: cargo run --package sandbox -- [--once] [--port N] [FUNCTION]
       cargo run --package sandbox -- servers [--port N]

  --once     end after the scenes; without it the sandbox stays until Ctrl-C, with or without a terminal
  --port N   the port of the page; the next three are Bitbucket's, Port's and the function's (4300, and any that are
             free for --once and servers)
  FUNCTION   a ferry-lambda that was built already; without it the sandbox builds one
  servers    the simulated Bitbucket and Port alone, for a Ferry that runs elsewhere";

/// The page's port unless another one is asked for.
const FIRST_PORT: u16 = 4300;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Help,
    Servers(Ports),
    Play {
        /// Ends after the scenes.
        once: bool,
        ports: Ports,
        function: Option<PathBuf>,
    },
}

/// Where who listens on 127.0.0.1; 0 is any free port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) page: u16,
    pub(crate) bitbucket: u16,
    pub(crate) port: u16,
    /// What stands for the function's URL.
    pub(crate) function: u16,
}

impl Ports {
    fn from(first: u16) -> anyhow::Result<Ports> {
        let nth = |offset: u16| {
            let port = first.checked_add(offset).filter(|_| 0 < first);
            port.context("--port needs a number from 1 to 65532")
        };
        Ok(Ports {
            page: nth(0)?,
            bitbucket: nth(1)?,
            port: nth(2)?,
            function: nth(3)?,
        })
    }
}

/// # Errors
/// When they ask for something that is not there; the message says what is.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Wish> {
    let (mut once, mut servers, mut first, mut function) = (false, false, None, None);
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Wish::Help),
            Arg::Long("once") => once = true,
            Arg::Long("port") => {
                let number = parser.value()?.parse();
                first = Some(number.context("--port needs a number from 1 to 65532")?);
            }
            Arg::Value(word) if word == "servers" && !servers && function.is_none() => {
                servers = true;
            }
            Arg::Value(path) if function.is_none() && !servers => {
                function = Some(PathBuf::from(path));
            }
            other => bail!("{}\n\n{USAGE}", other.unexpected()),
        }
    }
    if servers && once {
        bail!("servers tells no scenes, so there is nothing to end after: leave --once out");
    }
    let ports = match first {
        Some(first) => Ports::from(first)?,
        None if once || servers => Ports::default(),
        None => Ports::from(FIRST_PORT)?,
    };
    Ok(match servers {
        true => Wish::Servers(ports),
        false => Wish::Play {
            once,
            ports,
            function,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(words: &str) -> anyhow::Result<Wish> {
        read(words.split_whitespace().map(OsString::from))
    }

    fn play(once: bool, ports: Ports, function: Option<&str>) -> Wish {
        let function = function.map(PathBuf::from);
        Wish::Play {
            once,
            ports,
            function,
        }
    }

    #[test]
    fn each_way_to_start_it_is_understood() {
        let usual = Ports::from(4300).unwrap();
        assert_eq!(usual.function, 4303);
        let any = Ports::default();
        assert_eq!(wish("").unwrap(), play(false, usual, None));
        assert_eq!(wish("--once").unwrap(), play(true, any, None));
        let function = Some("target/ferry-arm64");
        let given = wish("--once target/ferry-arm64").unwrap();
        assert_eq!(given, play(true, any, function));
        let elsewhere = Ports::from(5000).unwrap();
        assert_eq!(wish("--port=5000").unwrap(), play(false, elsewhere, None));
        assert_eq!(wish("servers").unwrap(), Wish::Servers(any));
        assert_eq!(
            wish("servers --port 5000").unwrap(),
            Wish::Servers(elsewhere)
        );
        assert_eq!(wish("--once --help").unwrap(), Wish::Help);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (words, part) in [
            ("--onse", "invalid option '--onse'"),
            ("--port many", "--port needs a number"),
            ("--port 0", "from 1 to 65532"),
            ("--port 65533", "from 1 to 65532"),
            ("a b", "\"b\""),
            ("servers --once", "leave --once out"),
        ] {
            let error = format!("{:#}", wish(words).unwrap_err());
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
