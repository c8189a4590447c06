//! Finds the `include` lines of an nginx configuration, and puts others in their place. Pure: it knows nginx's words,
//! quotes and blocks, and no files.

use std::ops::Range;

/// One `include PATTERN;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// From its first letter to its semicolon.
    pub(crate) at: Range<usize>,
    /// What it names: a file, or a pattern of files.
    pub(crate) pattern: String,
}

/// The includes of a text, in order.
pub(crate) fn includes(text: &str) -> Vec<Include> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = Vec::new();
    let mut words: Vec<(usize, String)> = Vec::new();
    while let Some(token) = scanner.next() {
        match token {
            Token::Word(from, word) => {
                words.push((from, word));
                continue;
            }
            Token::End(end) => {
                if let [(from, first), (_, pattern)] = &words[..]
                    && first == "include"
                {
                    found.push(Include { at: *from..end, pattern: pattern.clone() });
                }
            }
            Token::Open => {
                if words.first().is_some_and(|(_, word)| word.ends_with("_by_lua_block")) {
                    scanner.skip_lua();
                }
            }
            Token::Close => {}
        }
        words.clear();
    }
    found
}

/// The text with these includes replaced by others, each a list of files.
pub(crate) fn replaced(text: &str, by: &[(Include, Vec<String>)]) -> String {
    let (mut new, mut from) = (String::new(), 0);
    for (include, files) in by {
        new += &text[from..include.at.start];
        let lines: Vec<String> = files.iter().map(|file| format!("include {};", quoted(file))).collect();
        new += &lines.join(" ");
        from = include.at.end;
    }
    new + &text[from..]
}

fn quoted(file: &str) -> String {
    format!("\"{}\"", file.replace('\\', "\\\\").replace('"', "\\\""))
}

enum Token {
    Word(usize, String),
    /// A semicolon, and what follows it.
    End(usize),
    Open,
    Close,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let from = self.at;
            match self.take()? {
                c if c.is_ascii_whitespace() => {}
                '#' => while self.take().is_some_and(|c| c != '\n') {},
                ';' => return Some(Token::End(self.at)),
                '{' => return Some(Token::Open),
                '}' => return Some(Token::Close),
                quote @ ('"' | '\'') => return Some(Token::Word(from, self.until(quote))),
                _ => {
                    self.at = from;
                    return Some(Token::Word(from, self.bare()));
                }
            }
        }
    }

    /// What stands before the closing quote.
    fn until(&mut self, quote: char) -> String {
        let mut word = String::new();
        while let Some(c) = self.take().filter(|c| *c != quote) {
            word.push(if c == '\\' { self.escaped() } else { c });
        }
        word
    }

    fn escaped(&mut self) -> char {
        match self.peek() {
            Some(c @ ('"' | '\'' | '\\')) => {
                self.at += 1;
                c
            }
            _ => '\\',
        }
    }

    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            // `${name}` is a variable.
            if c.is_ascii_whitespace() || c == ';' || (c == '{' && !word.ends_with('$')) {
                break;
            }
            self.at += c.len_utf8();
            word.push(if c == '\\' { self.escaped() } else { c });
        }
        word
    }

    /// To behind the brace that ends a block of Lua, whose quotes and comments are its own.
    fn skip_lua(&mut self) {
        let mut open = 1;
        while let Some(c) = self.take() {
            match c {
                '{' => open += 1,
                '}' if open == 1 => return,
                '}' => open -= 1,
                quote @ ('"' | '\'') => drop(self.until(quote)),
                '-' if self.peek() == Some('-') => while self.take().is_some_and(|c| c != '\n') {},
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = includes(text);
        assert_eq!(found.iter().map(|i| i.pattern.as_str()).collect::<Vec<_>>(), expected, "{text}");
        for include in &found {
            let line = &text[include.at.clone()];
            assert!(line.starts_with("include") && line.ends_with(';'), "{line}");
        }
    }

    #[test]
    fn what_is_an_include_and_what_is_not() {
        check("include a.conf;", &["a.conf"]);
        check(
            "http { include mime.types; include 'b c/*.conf' ;\n include\n\t\"/d\\\"e\" ; }",
            &["mime.types", "b c/*.conf", "/d\"e"],
        );
        check("# include a;\nset $x include; add_header include b;", &[]);
        check("log_format x '; include a;'; set $a \"${b}; include c;\";", &[]);
        check("map $host ${x} { include m; default a; }", &["m"]);
        check("init_by_lua_block { local t = {}; -- it's }\n s = '}' .. \"include a;\" } include b;", &["b"]);
        check("include a; include", &["a"]);
        check("include 'a", &[]);
        check("", &[]);
    }

    #[test]
    fn others_take_their_place() {
        let text = "a; include x/*; b { include y; }";
        let mut found = includes(text);
        let second = found.remove(1);
        assert_eq!(
            replaced(text, &[(found.remove(0), vec!["/x/1".into(), "/x/\"2".into()])]),
            "a; include \"/x/1\"; include \"/x/\\\"2\"; b { include y; }"
        );
        assert_eq!(replaced(text, &[(second, vec![])]), "a; include x/*; b {  }");
        assert_eq!(replaced(text, &[]), text);
    }
}
