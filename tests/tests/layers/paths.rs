//! Reads the paths that a source names: `a::b::c`, also inside a `use` tree. Comments, texts
//! and what is compiled for tests alone are taken out first.

/// A path as it is written, resolved to its crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its words, `super` and `self` resolved.
    pub path: Vec<String>,
}

impl Named {
    /// Whether the path begins with the words of `front`.
    pub fn starts_with(&self, front: &str) -> bool {
        let front: Vec<&str> = front.split("::").collect();
        self.path.len() >= front.len() && front.iter().zip(&self.path).all(|(a, b)| *a == b)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Mark(char),
}

/// The tokens of a source with the lines on which they stand. Comments, texts and
/// characters are dropped: what they say is not code.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let all: Vec<char> = source.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while let Some(&here) = all.get(at) {
        let next = all.get(at + 1).copied().unwrap_or(' ');
        let begin = at;
        let mut token = None;
        if here == '/' && next == '/' {
            at += all[at..].iter().take_while(|c| **c != '\n').count();
        } else if here == '/' && next == '*' {
            at = comment_end(&all, at);
        } else if here == '"' {
            at = text_end(&all, at);
        } else if here.is_alphabetic() || here == '_' {
            let length = all
                .iter()
                .skip(at)
                .take_while(|c| c.is_alphanumeric() || **c == '_')
                .count();
            let word: String = all.iter().skip(at).take(length).collect();
            at += length;
            let raw = ["r", "br", "cr"].contains(&word.as_str());
            match raw_text_end(&all, at).filter(|_| raw) {
                Some(end) => at = end,
                None => token = Some(Token::Word(word)),
            }
        } else if here == '\'' {
            at = quote_end(&all, at);
        } else if here == ':' && next == ':' {
            (token, at) = (Some(Token::Colons), at + 2);
        } else {
            token = Some(Token::Mark(here)).filter(|_| !here.is_whitespace());
            at += 1;
        }
        found.extend(token.map(|token| (line, token)));
        line += all
            .iter()
            .take(at)
            .skip(begin)
            .filter(|c| **c == '\n')
            .count();
    }
    found
}

/// Comments nest.
fn comment_end(all: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < all.len() {
        match (all.get(at), all.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text_end(all: &[char], mut at: usize) -> usize {
    at += 1;
    while let Some(&here) = all.get(at) {
        at += if here == '\\' { 2 } else { 1 };
        if here == '"' {
            break;
        }
    }
    at
}

/// The end of `"…"` or `#"…"#` after its letter, or `None` where no text begins (`r#type`).
fn raw_text_end(all: &[char], at: usize) -> Option<usize> {
    let hashes = all.get(at..)?.iter().take_while(|c| **c == '#').count();
    if all.get(at + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let body = at + hashes + 1;
    let length = all
        .get(body..)?
        .windows(close.len())
        .position(|part| part == close.as_slice())?;
    Some(body + length + close.len())
}

/// The end of a character, or of the quote that begins a lifetime.
fn quote_end(all: &[char], at: usize) -> usize {
    match (all.get(at + 1), all.get(at + 2)) {
        (Some('\\'), _) => {
            let more = all.iter().skip(at + 3).position(|c| *c == '\'');
            more.map_or(all.len(), |more| at + 4 + more)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// Takes out `#[cfg(test)]` with the item that follows it.
fn without_tests(mut all: Vec<(usize, Token)>) -> Vec<(usize, Token)> {
    let marker = tokens("#[cfg(test)]");
    let is_test = |all: &[(usize, Token)], at: usize| {
        let here = all.iter().skip(at).map(|(_, token)| token);
        here.take(marker.len())
            .eq(marker.iter().map(|(_, token)| token))
    };
    let mut at = 0;
    while at < all.len() {
        if is_test(&all, at) {
            let end = item_end(&all, at + marker.len());
            all.drain(at..end);
        } else {
            at += 1;
        }
    }
    all
}

/// The end of an item: its closing brace, or a semicolon outside of all braces.
fn item_end(all: &[(usize, Token)], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some((_, token)) = all.get(at) {
        at += 1;
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') if depth == 1 => return at,
            Token::Mark('}') => depth -= 1,
            Token::Mark(';') if depth == 0 => return at,
            Token::Mark(_) | Token::Word(_) | Token::Colons => {}
        }
    }
    at
}

/// Every path of a source, `use` trees spread out, `self` and `super` resolved from `module`.
pub fn paths(source: &str, module: &[&str]) -> Vec<Named> {
    let all = without_tests(tokens(source));
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((_, token)) = all.get(at) {
        at = match token {
            Token::Word(word) if word == "use" => tree(&all, at + 1, &[], module, &mut found),
            Token::Word(_) => tree(&all, at, &[], module, &mut found),
            Token::Colons | Token::Mark(_) => at + 1,
        };
    }
    found
}

/// Reads one path or tree of paths that stands after `front`; gives where it ends.
fn tree(
    all: &[(usize, Token)],
    mut at: usize,
    front: &[String],
    module: &[&str],
    found: &mut Vec<Named>,
) -> usize {
    let mut path = front.to_vec();
    let line = all.get(at).map_or(0, |(line, _)| *line);
    if matches!(all.get(at), Some((_, Token::Colons))) {
        at += 1;
    }
    loop {
        match all.get(at) {
            Some((_, Token::Word(word))) => path.push(word.clone()),
            Some((_, Token::Mark('*'))) if !path.is_empty() => path.push("*".into()),
            Some((_, Token::Mark('{'))) if !path.is_empty() => {
                return branches(all, at + 1, &path, module, found);
            }
            _ => return at.max(1),
        }
        at += 1;
        if !matches!(all.get(at), Some((_, Token::Colons))) {
            let path = resolved(path, module);
            found.push(Named { line, path });
            return at;
        }
        at += 1;
    }
}

fn branches(
    all: &[(usize, Token)],
    mut at: usize,
    front: &[String],
    module: &[&str],
    found: &mut Vec<Named>,
) -> usize {
    while let Some((_, token)) = all.get(at) {
        at = match token {
            Token::Mark('}') => return at + 1,
            Token::Word(_) | Token::Mark('*') | Token::Colons => {
                tree(all, at, front, module, found).max(at + 1)
            }
            Token::Mark(_) => at + 1,
        };
    }
    at
}

fn resolved(path: Vec<String>, module: &[&str]) -> Vec<String> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let own = usize::from(path.first().is_some_and(|word| word == "self"));
    if ups + own == 0 {
        return path;
    }
    let base = module.iter().take(module.len().saturating_sub(ups));
    let base = std::iter::once("crate".to_owned()).chain(base.map(|word| (*word).to_owned()));
    base.chain(path.into_iter().skip(ups.max(own))).collect()
}
