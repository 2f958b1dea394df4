//! Who may know whom (design §3), read from the sources: layers, what each may name, dead files, kinds that nobody registered.
//!
//! Test code is exempt: it may read fixtures and print. A path counts by its words, as written: `use` trees are taken apart,
//! `super` is followed to the module that it means, and macros belong to the module that exports them.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the top down. A module may use those of lower rows, and those of its own row as long as they do not use it.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["control", "daemon"],
    &["respond", "restore", "capture"],
    &["trail", "kinds", "audit", "store"],
    &["aws"],
    &["config"],
    &["plan", "detect"],
    &["model"],
];
/// A function of their arguments: nothing from outside.
const PURE: &[&str] = &["model", "detect", "plan"];
const SLED: &[&str] = &["store"];
const SDK: &[&str] = &["aws", "kinds", "trail", "respond"];
const PRINTS: &[&str] = &["main", "cli"];

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// The words and signs of a source; comments and literals left out; `::` is one sign.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut i, mut line) = (vec![], 0, 1);
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            'r' | 'b' | 'c' if raw_hashes(&chars, i).is_some() => {
                let (open, hashes) = raw_hashes(&chars, i).unwrap();
                i = open + 1;
                while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, unless it is a lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            c if word(c) => {
                while word(at(i)) {
                    i += 1;
                }
                out.push(Token { text: chars[start..i].iter().collect(), line });
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                out.push(Token { text: "::".into(), line });
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    out.push(Token { text: c.into(), line });
                }
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// For `r"`, `br##"`: where the quote stands, and how many hashes are before it.
fn raw_hashes(chars: &[char], start: usize) -> Option<(usize, usize)> {
    let mut i = start;
    if i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_') {
        return None;
    }
    if matches!(chars[i], 'b' | 'c') {
        i += 1;
    }
    if chars.get(i) != Some(&'r') {
        return None;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    (chars.get(i + hashes) == Some(&'"')).then_some((i + hashes, hashes))
}

/// Without the items under `#[cfg(test)]`.
fn product_code(all: &[Token]) -> Vec<Token> {
    let is = |i: usize, text: &str| all.get(i).is_some_and(|t| t.text == text);
    let is_test = |i: usize| ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().all(|(n, t)| is(i + n, t));
    let (mut out, mut i) = (vec![], 0);
    while i < all.len() {
        if !is_test(i) {
            out.push(all[i].clone());
            i += 1;
            continue;
        }
        i += 7;
        let (mut depth, mut is_use) = (0usize, false);
        while i < all.len() {
            match all[i].text.as_str() {
                "use" if depth == 0 => is_use = true,
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = depth == 0 && (is(i, ";") || (is(i, "}") && !is_use));
            i += 1;
            if ends {
                break;
            }
        }
    }
    out
}

/// One path that a source names: its words, where, and how many inline modules stand around it.
#[derive(Debug, Clone, PartialEq)]
struct Named {
    words: Vec<String>,
    line: usize,
    inside: usize,
}

fn paths(code: &[Token]) -> Vec<Named> {
    let text = |i: usize| code.get(i).map_or("", |t| t.text.as_str());
    let word = |i: usize| text(i).starts_with(|c: char| c.is_alphabetic() || c == '_');
    let (mut out, mut i, mut depth, mut modules) = (vec![], 0, 0usize, vec![]);
    while i < code.len() {
        match text(i) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                modules.retain(|opened| *opened < depth + 1);
            }
            "mod" if word(i + 1) && text(i + 2) == "{" => modules.push(depth + 1),
            "use" if word(i + 1) || text(i + 1) == "::" => {
                i = tree(code, i + 1, &[], modules.len(), &mut out);
                continue;
            }
            _ if word(i) && (i == 0 || !matches!(text(i - 1), "::" | ".")) => {
                let (mut words, line) = (vec![text(i).to_owned()], code[i].line);
                while text(i + 1) == "::" && word(i + 2) {
                    words.push(text(i + 2).to_owned());
                    i += 2;
                }
                out.push(Named { words, line, inside: modules.len() });
            }
            _ => {}
        }
        i += 1;
    }
    out
}

/// Takes one branch of a `use` tree apart; gives where it ends.
fn tree(code: &[Token], mut i: usize, before: &[String], inside: usize, out: &mut Vec<Named>) -> usize {
    let text = |i: usize| code.get(i).map_or(";", |t| t.text.as_str());
    let (mut words, line) = (before.to_vec(), code.get(i).map_or(0, |t| t.line));
    loop {
        match text(i) {
            "::" => i += 1,
            "{" => {
                i += 1;
                while text(i) != "}" && text(i) != ";" {
                    i = tree(code, i, &words, inside, out);
                    if text(i) == "," {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "," | "}" | ";" => break,
            "as" => i += 2,
            "self" if !words.is_empty() => i += 1,
            name => {
                words.push(name.to_owned());
                i += 1;
            }
        }
    }
    out.push(Named { words, line, inside });
    if text(i) == ";" { i + 1 } else { i }
}

/// One source file under src/.
struct Source {
    /// `src/kinds/ec2/vpc.rs`
    file: String,
    text: String,
}
impl Source {
    /// `kinds`, `ec2`, `vpc`; nothing for lib.rs.
    fn module(&self) -> Vec<&str> {
        let path = self.file.trim_start_matches("src/").trim_end_matches(".rs");
        path.trim_end_matches("/mod").split('/').filter(|w| *w != "lib").collect()
    }
    /// The file that declares this one, and by which name.
    fn declared_in<'a>(&self, sources: &'a [Source]) -> Option<(&'a Source, String)> {
        let module = self.module();
        let (name, parents) = module.split_last()?;
        let parent = parents.join("/");
        let files = match parents.is_empty() {
            true => ["src/lib.rs".into(), String::new()],
            false => [format!("src/{parent}/mod.rs"), format!("src/{parent}.rs")],
        };
        Some((sources.iter().find(|s| files.contains(&s.file))?, (*name).to_owned()))
    }
    /// It, or a module around it, is only there under `#[cfg(test)]`.
    fn is_test(&self, sources: &[Source]) -> bool {
        self.declared_in(sources).is_some_and(|(parent, name)| {
            let all = tokens(&parent.text);
            declares(&all, &name) && !declares(&product_code(&all), &name) || parent.is_test(sources)
        })
    }
}

fn declares(code: &[Token], module: &str) -> bool {
    code.windows(2).any(|w| w[0].text == "mod" && w[1].text == module)
}

/// Where exported macros live: they are named `crate::mirror!`, and belong to `kinds`.
fn macros(sources: &[Source]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for source in sources {
        let all = tokens(&source.text);
        let exported = all.iter().enumerate().filter(|(_, t)| t.text == "macro_export");
        for (i, _) in exported {
            let name = all.iter().skip(i).skip_while(|t| t.text != "macro_rules").nth(2);
            if let (Some(name), Some(module)) = (name, source.module().first()) {
                out.insert(name.text.clone(), (*module).to_owned());
            }
        }
    }
    out
}

/// All that is wrong in one source; and the modules that it uses.
fn check(source: &Source, macros: &BTreeMap<String, String>) -> (Vec<String>, BTreeSet<String>) {
    let (mut wrong, mut uses) = (vec![], BTreeSet::new());
    let file = &source.file;
    for (n, line) in source.text.lines().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        let has_issue = || comment.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if comment.contains("FIXME") || comment.contains("TODO") && !has_issue() {
            wrong.push(format!("{file}:{}: do it, or file an issue and write `TODO(#number)`", n + 1));
        }
    }
    let module = source.module();
    let Some(&top) = module.first() else { return (wrong, uses) };
    let Some(own) = row(top) else {
        wrong.push(format!("{file}: `{top}` is in no layer; give it a row in LAYERS and a line in src/lib.rs"));
        return (wrong, uses);
    };
    let code = product_code(&tokens(&source.text));
    for pair in code.windows(2) {
        let [name, sign] = pair else { continue };
        if sign.text != "!" {
            continue;
        }
        match name.text.as_str() {
            "todo" | "unimplemented" | "dbg" => {
                wrong.push(format!("{file}:{}: `{}!` is no code to ship", name.line, name.text));
            }
            "println" | "eprintln" | "print" | "eprint" if !PRINTS.contains(&top) => {
                wrong.push(format!("{file}:{}: only {PRINTS:?} print; log with tracing", name.line));
            }
            _ => {}
        }
    }
    for Named { words, line, inside } in paths(&code) {
        let mut bad = |what: String| wrong.push(format!("{file}:{line}: `{}`: {what}", words.join("::")));
        let (first, second) = (words[0].as_str(), words.get(1).map(String::as_str));
        let supers = words.iter().take_while(|w| *w == "super").count();
        let used = match first {
            "crate" | "rollbackd" => second,
            // The binary is a crate of its own: what it calls `super` is itself.
            "super" if top != "main" && supers == module.len() + inside => words.get(supers).map(String::as_str),
            _ => None,
        };
        if let Some(used) = used {
            let used = macros.get(used).map_or(used, String::as_str);
            match row(used) {
                None if supers > 0 || used == "self" => {}
                None => bad(format!("`{used}` is in no layer")),
                Some(other) if other < own => bad(format!("`{top}` is below `{used}` and may not know it")),
                Some(_) if used != top => drop(uses.insert(used.to_owned())),
                Some(_) => {}
            }
            continue;
        }
        // One word alone is a name of its own, not a crate's.
        let Some(second) = second else { continue };
        if first == "sled" && !SLED.contains(&top) {
            bad(format!("only {SLED:?} knows sled"));
        }
        // aws-lc is a library of cryptography, and speaks to nobody.
        if first.starts_with("aws_") && first != "aws_lc_rs" && !SDK.contains(&top) {
            bad(format!("only {SDK:?} know the SDK"));
        }
        if PURE.contains(&top) {
            let outside = first == "tokio"
                || (first == "std" && matches!(second, "fs" | "env" | "net" | "process" | "thread"))
                || words.iter().any(|w| w == "SystemTime" || w == "Instant")
                || words.windows(2).any(|w| matches!(w[0].as_str(), "Timestamp" | "Zoned") && w[1] == "now");
            if outside {
                bad(format!("`{top}` is pure: no runtime, no disk, no clock; take it as an argument"));
            }
        }
    }
    (wrong, uses)
}

/// A module of a row that uses another which uses it, over however many others.
fn cycles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reach = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            next.extend(uses.get(module).into_iter().flatten().filter(|m| seen.insert((*m).clone())));
        }
        seen
    };
    let in_cycle: Vec<_> = uses.keys().filter(|m| reach(m).contains(*m)).collect();
    if in_cycle.is_empty() { vec![] } else { vec![format!("these modules use each other in a circle: {in_cycle:?}")] }
}

/// Files that no `mod` names, and kinds that the registry lacks.
fn left_out(sources: &[Source]) -> Vec<String> {
    let mut wrong = vec![];
    let text_of = |file: String| sources.iter().find(|s| s.file == file).map(|s| s.text.as_str());
    let registry = text_of("src/kinds/registry.rs".into()).unwrap_or_default();
    for source in sources {
        let module = source.module();
        let Some(name) = module.last().filter(|name| **name != "main") else { continue };
        let declared = source.declared_in(sources).is_some_and(|(parent, name)| declares(&tokens(&parent.text), &name));
        if !declared {
            wrong.push(format!("{}: a dead file: no `mod {name};` names it", source.file));
        }
        let code: Vec<_> = product_code(&tokens(&source.text)).into_iter().map(|t| t.text).collect();
        let is_kind = code.windows(3).any(|w| w == ["impl", "Kind", "for"]);
        if let (["kinds", service, kind], true) = (&module[..], is_kind)
            && !registry.contains(&format!("{service}::{kind}::"))
        {
            wrong.push(format!("{}: a kind that src/kinds/registry.rs does not register", source.file));
        }
    }
    wrong
}

fn sources_of(root: &Path) -> Vec<Source> {
    let (mut out, mut folders) = (vec![], vec![PathBuf::from("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(root.join(&path)).unwrap();
                out.push(Source { file: path.to_str().unwrap().to_owned(), text });
            }
        }
    }
    out.sort_by(|a, b| a.file.cmp(&b.file));
    out
}

fn all_wrong(sources: &[Source]) -> Vec<String> {
    let macros = macros(sources);
    let (mut wrong, mut uses) = (left_out(sources), BTreeMap::<String, BTreeSet<String>>::new());
    for source in sources {
        if source.is_test(sources) {
            continue;
        }
        let (w, u) = check(source, &macros);
        wrong.extend(w);
        if let Some(top) = source.module().first() {
            uses.entry((*top).to_owned()).or_default().extend(u);
        }
    }
    wrong.extend(cycles(&uses));
    wrong
}

#[test]
fn the_sources_keep_to_their_layers() {
    let sources = sources_of(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(sources.len() > 20, "the sources were not found");
    let wrong = all_wrong(&sources);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

mod the_checker {
    use super::*;

    fn wrong(file: &str, text: &str) -> Vec<String> {
        check(&Source { file: file.into(), text: text.into() }, &BTreeMap::new()).0
    }
    fn fine(file: &str, text: &str) {
        assert_eq!(wrong(file, text), Vec::<String>::new(), "{text}");
    }
    fn caught(file: &str, text: &str, why: &str) {
        let wrong = wrong(file, text);
        assert!(wrong.len() == 1 && wrong[0].contains(why), "{text}: {wrong:?}");
    }

    #[test]
    fn sees_who_uses_whom() {
        fine("src/store/mod.rs", "use crate::model::{Hash, canonical}; use super::aws::Cx;");
        caught(
            "src/plan/make.rs",
            "use crate::{\n  model::{Hash, Id},\n  kinds::{self},\n};",
            "`plan` is below `kinds`",
        );
        caught("src/plan/mod.rs", "use super::store::Store;", "`plan` is below `store`");
        caught("src/plan/order.rs", "use super::super::store;", "`plan` is below `store`");
        fine("src/plan/order.rs", "use super::store; mod inner { use super::super::store; }");
        caught("src/plan/order.rs", "mod inner { use super::super::super::store; }", "`plan` is below `store`");
        caught("src/aws/mod.rs", "fn f(x: &crate::store::Store) {}", "`aws` is below `store`");
        caught("src/config/mod.rs", "use crate::aws::Cx;", "`config` is below `aws`");
        fine("src/config/mod.rs", "use crate::detect::actor::Rule;");
        caught("src/newcomer.rs", "", "is in no layer");
        fine("src/main.rs", "use rollbackd::cli;");
        caught("src/cli/mod.rs", "use crate::other::X;", "`other` is in no layer");
    }

    #[test]
    fn sees_what_each_may_name() {
        caught("src/trail/mod.rs", "use sled::Db;", "sled");
        fine("src/store/mod.rs", "use sled::Db;");
        caught("src/restore/mod.rs", "fn f() { aws_sdk_ec2::Client::new(); }", "SDK");
        fine("src/respond/mod.rs", "use aws_sdk_sts as sts; use aws_config::Region;");
        caught("src/model/mod.rs", "use std::{collections::BTreeMap, fs};", "pure");
        caught("src/detect/mod.rs", "let now = jiff::Timestamp::now();", "pure");
        caught("src/detect/mod.rs", "let now = Timestamp::now();", "pure");
        caught("src/plan/mod.rs", "use tokio::sync::Mutex;", "pure");
        caught("src/plan/mod.rs", "use std::time::Instant;", "pure");
        fine("src/plan/mod.rs", "use std::collections::BTreeMap; let aws_region = 1; let sled = 2;");
    }

    #[test]
    fn sees_printing_and_unfinished_work() {
        caught("src/store/mod.rs", "println!(\"x\");", "print");
        fine("src/cli/render.rs", "println!(\"x\");");
        caught("src/cli/render.rs", "todo!()", "no code to ship");
        caught("src/cli/render.rs", "// FIXME: later", "file an issue");
        caught("src/cli/render.rs", "// TODO: later", "file an issue");
        fine("src/cli/render.rs", "// TODO(#12): later");
    }

    #[test]
    fn reads_code_and_not_comments_text_or_tests() {
        for text in [
            "// use sled::Db;\n/* crate::store::x /* nested */ println!() */",
            "/// `println!` and [`crate::cli::run`]\nfn f() {}",
            r####"let a = "use sled::Db; println!"; let b = r#"crate::cli::x "quoted" sled::y"#; let c = b"sled::Db";"####,
            "let a = '\"'; let b = '\\''; fn f<'a>(x: &'a str) {} let c = '\\u{1F600}';",
            "#[cfg(test)]\nmod tests { use crate::cli; #[test] fn t() { println!(); } }\n",
            "#[cfg(test)] use crate::{cli, store};",
            "#[cfg(test)] fn f() { sled::open(); }",
        ] {
            fine("src/aws/mod.rs", text);
        }
        // And goes on after them.
        for before in ["#[cfg(test)] use crate::{cli};", "let a = '\"';", "let a = r\"\\\";", "fn f<'a>() {}", "/* */"]
        {
            caught("src/aws/mod.rs", &format!("{before}\nuse sled::Db;"), "src/aws/mod.rs:2:");
        }
    }

    fn source(file: &str, text: &str) -> Source {
        Source { file: file.into(), text: text.into() }
    }

    #[test]
    fn sees_circles_dead_files_and_kinds_that_nobody_registered() {
        let sources = [
            source("src/lib.rs", "pub mod store; pub mod trail; pub mod kinds; #[cfg(test)] mod testing;"),
            source("src/testing.rs", "println!()"),
            source("src/store/mod.rs", "use crate::trail::Queue;"),
            source("src/trail/mod.rs", "use crate::store::Store;"),
            source("src/trail/forgotten.rs", ""),
            source("src/kinds/mod.rs", "pub mod ec2; pub mod registry;"),
            source("src/kinds/registry.rs", "&Erased::<ec2::vpc::Vpc>::NEW"),
            source("src/kinds/ec2/mod.rs", "pub mod vpc; pub mod subnet;"),
            source("src/kinds/ec2/vpc.rs", "impl Kind for Vpc {}"),
            source("src/kinds/ec2/subnet.rs", "impl Kind for Subnet {}"),
        ];
        let wrong = all_wrong(&sources);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("src/trail/forgotten.rs: a dead file"));
        assert!(wrong[1].starts_with("src/kinds/ec2/subnet.rs: a kind that"));
        assert!(wrong[2].contains(r#"["store", "trail"]"#));
    }

    #[test]
    fn knows_where_a_macro_lives() {
        let sources = [
            source("src/lib.rs", "pub mod kinds; pub mod model;"),
            source("src/kinds/mod.rs", "#[macro_export]\n#[doc(hidden)]\nmacro_rules! mirror { () => {} }"),
            source("src/model/mod.rs", "crate::mirror! {}"),
        ];
        let wrong = all_wrong(&sources);
        assert!(wrong.len() == 1 && wrong[0].contains("`model` is below `kinds`"), "{wrong:?}");
    }
}
