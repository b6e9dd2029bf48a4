//! No circle of files in a crate: a file can be read with none but those that it uses, and these without it.
//!
//! A file uses those that define what a path in it leads to, tests aside. `mod child` is no use, nor is `pub use
//! child::Item` where the file only passes the item on. So a child may use what its parent defines, or the parent what
//! its child does, but not both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;
type Files = BTreeMap<Module, File>;

#[derive(Default)]
struct File {
    children: BTreeSet<String>,
    /// By the name that each has here.
    imports: BTreeMap<String, Vec<String>>,
    used: Vec<Vec<String>>,
}

/// The lines of a source without comments and tests. It is formatted, so that an item ends where its indentation is again.
fn code(source: &str) -> String {
    let (mut kept, mut lines) = (String::new(), source.lines().filter(|line| !line.trim().starts_with("//")));
    while let Some(line) = lines.next() {
        let indentation = line.len() - line.trim_start().len();
        if ["#[cfg(test)", "#[cfg(all(test,"].iter().any(|test| line.trim_start().starts_with(test)) {
            let mut open = false;
            for line in lines.by_ref() {
                open |= line.ends_with('{');
                let is_back = line.len() - line.trim_start().len() == indentation;
                if line.ends_with([';', '}', ',']) && (is_back || !open) {
                    break;
                }
            }
            continue;
        }
        kept.extend([line.split(" // ").next().unwrap_or(line), "\n"]);
    }
    kept
}

/// Words, `::`, and other signs one by one.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if rest.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Reads a path, or a tree of them, and answers with which name each is imported, and where the next token is.
fn paths(tokens: &[&str], mut at: usize, stem: &[String]) -> (Vec<(String, Vec<String>)>, usize) {
    let token = |at: usize| tokens.get(at).copied().unwrap_or_default();
    let mut path = stem.to_vec();
    loop {
        if token(at) == "{" {
            let mut all = Vec::new();
            at += 1;
            while !matches!(token(at), "}" | "") {
                let (some, next) = paths(tokens, at, &path);
                all.extend(some);
                at = next.max(at + 1) + usize::from(token(next) == ",");
            }
            return (all, at + 1);
        }
        path.push(token(at).to_owned());
        at += 1;
        let goes_on = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || "_{*".contains(c));
        if token(at) != "::" || !goes_on(token(at + 1)) {
            break;
        }
        at += 1;
    }
    path.pop_if(|last| last == "self" && !stem.is_empty());
    if token(at) == "as" {
        return (vec![(token(at + 1).to_owned(), path)], at + 2);
    }
    (vec![(path.last().cloned().unwrap_or_default(), path)], at)
}

/// Reads a file and those of its children.
fn read(path: &Path, module: Module, files: &mut Files) {
    let code = code(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    let tokens = tokens(&code);
    let (mut file, mut at) = (File::default(), 0);
    while at < tokens.len() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before]);
        match tokens[at..] {
            ["mod", name, ";", ..] => {
                file.children.insert(name.to_owned());
                at += 3;
            }
            ["use", ..] => {
                let (found, next) = paths(&tokens, at + 1, &[]);
                let is_passed_on = matches!(before, "pub" | ")");
                let is_used = |name: &String| tokens.iter().filter(|token| *token == name).count() > 1;
                let used = found.iter().filter(|(name, _)| !is_passed_on || is_used(name));
                file.used.extend(used.map(|(_, path)| path.clone()));
                file.imports.extend(found);
                at = next;
            }
            [_, "::", ..] if !matches!(before, "::" | ".") => {
                let (found, next) = paths(&tokens, at, &[]);
                file.used.extend(found.into_iter().map(|(_, path)| path));
                at = next.max(at + 1);
            }
            _ => at += 1,
        }
    }
    let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| path.ends_with(name));
    let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
    for child in &file.children {
        let beside = folder.join(format!("{child}.rs"));
        let below = if beside.exists() { beside } else { folder.join(child).join("mod.rs") };
        read(&below, [&module[..], std::slice::from_ref(child)].concat(), files);
    }
    files.insert(module, file);
}

/// The file in which the item is defined that a path in a file leads to, if it is one of this crate.
fn lead(files: &Files, from: &Module, path: &[String], hops: usize) -> Option<Module> {
    let mut rest = path;
    let mut module = match path.first()?.as_str() {
        "crate" => Module::new(),
        "super" | "self" => from.clone(),
        child if files[from].children.contains(child) => from.clone(),
        _ => return None,
    };
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" | "self" => {}
            "super" => drop(module.pop()),
            child if files[&module].children.contains(child) => module.push(first.clone()),
            item => {
                let passed_on = files[&module].imports.get(item).filter(|_| hops > 0);
                let passed_on = passed_on.map(|path| [&path[..], others].concat());
                return passed_on.and_then(|path| lead(files, &module, &path, hops - 1)).or(Some(module));
            }
        }
        rest = others;
    }
    Some(module)
}

/// The circles of a crate, each with the names of its files.
fn circles(root: &Path) -> BTreeSet<BTreeSet<String>> {
    let mut files = Files::new();
    read(root, Module::new(), &mut files);
    let used =
        |module, file: &File| file.used.iter().filter_map(|path| lead(&files, module, path, 8)).collect();
    let direct: BTreeMap<_, BTreeSet<_>> =
        files.iter().map(|(module, file)| (module, used(module, file))).collect();
    let reached = |from: &Module| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            let others = direct[&module].iter().filter(|used| **used != module);
            next.extend(others.filter(|other| reached.insert((*other).clone())).cloned());
        }
        reached
    };
    let reached: BTreeMap<_, _> = files.keys().map(|module| (module, reached(module))).collect();
    let circle = |module: &&Module| {
        let both = reached[module].iter().filter(|other| reached[other].contains(*module));
        let name = |module: &Module| if module.is_empty() { "crate".into() } else { module.join("::") };
        both.map(name).collect::<BTreeSet<_>>()
    };
    reached.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// The crates, each with the circles that are left in it, by their first files.
///
/// In a folder its page defines what its files use, and uses them. Of the others, `app` and `page` share what a router
/// has, `conditional` to `reply` how an answer is refused, and the files of the program what became of it.
const CORE: &str =
    "bus record rules service testing::conformance testing::saboteurs testing::simulation verify";
const LEFT: [(&str, &str); 6] = [
    ("trade-core/src/lib.rs", CORE),
    ("trade-store-sql/src/lib.rs", ""),
    ("trade-store-mongo/src/lib.rs", ""),
    ("trade-http/src/lib.rs", "app conditional"),
    ("examples/src/lib.rs", ""),
    ("examples/src/main.rs", "clock"),
];

#[test]
fn no_files_of_a_crate_use_each_other_in_a_circle() {
    for (root, left) in LEFT {
        let mut left: BTreeSet<_> = left.split_whitespace().collect();
        for circle in circles(&tests::server::root().join(root)) {
            let is_left = circle.first().is_some_and(|first| left.remove(&**first));
            assert!(is_left, "{root} has a circle: {circle:?}");
        }
        assert!(left.is_empty(), "{root} has no circle any more of {left:?}");
    }
}
