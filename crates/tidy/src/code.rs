//! A Rust file as lines of code and comment, apart.
//!
//! Only what the rules need: literals are emptied, so that a word in a string is no code. Not a
//! parser; what it does not know (a raw identifier, say) it leaves as code.

/// One line of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The code, with comments and the insides of literals left out.
    pub code: String,
    /// What comments say on this line, with their marks.
    pub comment: String,
}

/// Where the reader is between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// With the depth of nesting.
    BlockComment(u32),
    Text,
    /// With the number of `#` that end it.
    RawText(usize),
}

/// Splits a file's text.
pub fn split(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut splitter = Splitter {
        lines: vec![Line::default()],
        state: State::Code,
    };
    let mut at = 0;
    while at < chars.len() {
        at += splitter.take(&chars[at..]);
    }
    splitter.lines
}

struct Splitter {
    lines: Vec<Line>,
    state: State,
}

impl Splitter {
    /// Reads from the front of `rest`, and says how many characters.
    fn take(&mut self, rest: &[char]) -> usize {
        if rest[0] == '\n' {
            if self.state == State::LineComment {
                self.state = State::Code;
            }
            self.lines.push(Line::default());
            return 1;
        }
        match self.state {
            State::Code => self.take_code(rest),
            State::LineComment => self.comment(rest, 1),
            State::BlockComment(depth) => self.take_block_comment(rest, depth),
            State::Text => self.take_text(rest),
            State::RawText(hashes) => self.take_raw_text(rest, hashes),
        }
    }

    fn take_code(&mut self, rest: &[char]) -> usize {
        match rest {
            ['/', '/', ..] => {
                self.state = State::LineComment;
                self.comment(rest, 2)
            }
            ['/', '*', ..] => {
                self.state = State::BlockComment(1);
                self.comment(rest, 2)
            }
            ['"', ..] => {
                self.state = State::Text;
                self.code(rest, 1)
            }
            ['\'', ..] => self.take_quote(rest),
            ['r', ..] if !self.in_word() => self.take_raw_start(rest),
            _ => self.code(rest, 1),
        }
    }

    fn take_block_comment(&mut self, rest: &[char], depth: u32) -> usize {
        match rest {
            ['/', '*', ..] => {
                self.state = State::BlockComment(depth + 1);
                self.comment(rest, 2)
            }
            ['*', '/', ..] => {
                self.state = match depth {
                    1 => State::Code,
                    _ => State::BlockComment(depth - 1),
                };
                self.comment(rest, 2)
            }
            _ => self.comment(rest, 1),
        }
    }

    fn take_text(&mut self, rest: &[char]) -> usize {
        match rest {
            // A line that ends in a backslash is still a line.
            ['\\', '\n', ..] => 1,
            ['\\', _, ..] => 2,
            ['"', ..] => {
                self.state = State::Code;
                self.code(rest, 1)
            }
            _ => 1,
        }
    }

    fn take_raw_text(&mut self, rest: &[char], hashes: usize) -> usize {
        let ends = rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= hashes;
        if !ends {
            return 1;
        }
        self.state = State::Code;
        self.code(rest, 1 + hashes)
    }

    /// `r"…"` and `r#"…"#`, but not `r#name`.
    fn take_raw_start(&mut self, rest: &[char]) -> usize {
        let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
        if rest.get(1 + hashes) != Some(&'"') {
            return self.code(rest, 1);
        }
        self.state = State::RawText(hashes);
        self.code(rest, 2 + hashes)
    }

    /// A character literal is emptied; a lifetime is code.
    fn take_quote(&mut self, rest: &[char]) -> usize {
        let literal = match rest {
            ['\'', '\\', ..] => rest[3..].iter().position(|c| *c == '\'').map(|at| at + 4),
            ['\'', _, '\'', ..] => Some(3),
            _ => None,
        };
        self.code(rest, 1);
        literal.unwrap_or(1)
    }

    fn in_word(&self) -> bool {
        self.line().code.ends_with(is_word)
    }

    fn code(&mut self, rest: &[char], count: usize) -> usize {
        self.line_mut().code.extend(&rest[..count]);
        count
    }

    fn comment(&mut self, rest: &[char], count: usize) -> usize {
        self.line_mut().comment.extend(&rest[..count]);
        count
    }

    fn line(&self) -> &Line {
        self.lines.last().expect("there is always a line")
    }

    fn line_mut(&mut self) -> &mut Line {
        self.lines.last_mut().expect("there is always a line")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// True when `phrase` stands in `code` with no longer word around it.
pub fn names(code: &str, phrase: &str) -> bool {
    code.match_indices(phrase).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + phrase.len()..].chars().next();
        let joins = |next: Option<char>, end: Option<char>| {
            next.is_some_and(is_word) && end.is_some_and(is_word)
        };
        !joins(before, phrase.chars().next()) && !joins(after, phrase.chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> Vec<String> {
        split(text).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn words_in_comments_and_strings_are_no_code() {
        assert_eq!(code_of("a // b\nc"), ["a ", "c"]);
        assert_eq!(code_of("a /* b /* c */\n d */ e"), ["a ", " e"]);
        assert_eq!(
            code_of(r#"f("b \" c", 'd', '\'', b'"')"#),
            [r#"f("", ', ', b')"#]
        );
        assert_eq!(code_of("f(r#\"b \" c\"#) d"), ["f(r#\"\"#) d"]);
        assert_eq!(code_of("\"one \\\n two\" b"), ["\"", "\" b"]);
    }

    #[test]
    fn lifetimes_and_names_are_code() {
        let text = "fn f<'a>(r: &'a str, r#type: T) -> bar\"\"";
        assert_eq!(code_of(text), [text]);
    }

    #[test]
    fn comments_keep_their_marks() {
        let lines = split("a /// b\n//! c");
        assert_eq!(lines[0].comment, "/// b");
        assert_eq!(lines[1].comment, "//! c");
    }

    #[test]
    fn a_phrase_counts_whole_only() {
        assert!(names("use std::fs::File;", "std::fs"));
        assert!(names("let a: Instant;", "Instant"));
        assert!(!names("let a: InstantLike;", "Instant"));
        assert!(!names("myfs::open()", "fs::"));
        assert!(names("fs::open()", "fs::"));
    }
}
