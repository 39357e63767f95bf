//! Rust source without its comments: enough of a lexer to tell code from words about it.

/// `text` with every comment turned into spaces; lines keep their numbers, strings stay.
pub(crate) fn without_comments(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => line_end(&chars, at),
            ('/', Some('*')) => block_end(&chars, at),
            ('"', _) => {
                let end = string_end(&chars, at);
                out.extend(&chars[at..end]);
                at = end;
                continue;
            }
            ('r', Some('"' | '#')) if !follows_word(&chars, at) => {
                let end = raw_string_end(&chars, at).unwrap_or(at + 1);
                out.extend(&chars[at..end]);
                at = end;
                continue;
            }
            ('\'', _) => {
                let end = char_end(&chars, at);
                out.extend(&chars[at..end]);
                at = end;
                continue;
            }
            _ => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n)
}

fn block_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + 2 + hashes;
    while end < chars.len() {
        let closing = chars[end] == '"'
            && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closing {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(chars.len())
}

/// A character, or one tick of a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let close = chars[at + 2..].iter().skip(1).position(|c| *c == '\'');
            close.map_or(chars.len(), |n| at + 4 + n)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(without_comments(source), expected);
    }

    #[test]
    fn comments_go_and_lines_stay() {
        check("a // b\nc /* d\n e */ f", "a     \nc     \n      f");
    }

    #[test]
    fn what_looks_like_a_comment_in_a_string_stays() {
        check(r#"let a = "http://b"; // c"#, r#"let a = "http://b";     "#);
        check(r##"let a = r#"// "b" "#; d"##, r##"let a = r#"// "b" "#; d"##);
        check(
            r"let a = '\''; let b = '/'; &'a str // c",
            r"let a = '\''; let b = '/'; &'a str     ",
        );
    }

    #[test]
    fn nested_comments_end_where_the_outer_one_does() {
        check("/* a /* b */ c */ d", "                  d");
    }
}
