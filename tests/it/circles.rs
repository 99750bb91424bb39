//! No circles: modules that use each other are one idea in two places.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::architecture::{code, source_files, without_tests};

/// The path of a module from the root of the crate.
type Module = Vec<String>;

fn module_of(path: &Path) -> Module {
    path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// Every path in a tree of a `use`: `a::{b, c::d}` holds `a::b` and `a::c::d`.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let (mut depth, mut begin) = (0_usize, 0);
    let mut parts = Vec::new();
    for (at, character) in tree.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[begin..]);
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        let (head, group) = part
            .split_once('{')
            .map_or((part, None), |(head, rest)| (head, Some(rest.strip_suffix('}').unwrap_or(rest))));
        let names = head.split(" as ").next().unwrap_or_default().split("::");
        let names = names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let path: Vec<String> = prefix.iter().cloned().chain(names).collect();
        match group {
            Some(group) => expand(&path, group, paths),
            None => paths.push(path),
        }
    }
}

/// The paths that the code names from the crate's root or from its own place.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        if before.is_empty() || before.starts_with("pub") {
            let tree = &code[at + 4..];
            expand(&[], &tree[..tree.find(';').unwrap_or(0)], &mut paths);
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let end =
                code[at..].find(|character: char| !character.is_alphanumeric() && !"_:".contains(character));
            let path = code[at..end.map_or(code.len(), |end| at + end)].trim_end_matches(':');
            paths.push(path.split("::").map(str::to_owned).collect());
        }
    }
    paths
}

/// The module that a path of `own` leads to; `None` if it leads out of the crate.
fn resolved(own: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let mut target = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "super" => [own.get(..own.len().checked_sub(ups)?)?, &path[ups..]].concat(),
        _ => return None,
    };
    while !target.is_empty() && !modules.contains(&target) {
        target.pop();
    }
    (!target.is_empty() && target != *own).then_some(target)
}

/// For each module with children, the children that each of them uses.
type Siblings = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

fn siblings(codes: &BTreeMap<Module, String>) -> Siblings {
    let modules: BTreeSet<Module> = codes.keys().cloned().collect();
    let mut siblings = Siblings::new();
    for (own, code) in codes {
        for target in paths_in(code).iter().filter_map(|path| resolved(own, path, &modules)) {
            let common = own.iter().zip(&target).take_while(|(one, other)| one == other).count();
            if let (Some(user), Some(used)) = (own.get(common), target.get(common)) {
                let parent = siblings.entry(own[..common].to_vec()).or_default();
                parent.entry(user.clone()).or_default().insert(used.clone());
            }
        }
    }
    siblings
}

/// The children that lead back to themselves.
fn in_circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<&String> {
    let leads_back = |start: &&String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
        while let Some(module) = next.pop() {
            for used in uses.get(module).into_iter().flatten() {
                if used == *start {
                    return true;
                }
                if seen.insert(used) {
                    next.push(used);
                }
            }
        }
        false
    };
    uses.keys().filter(leads_back).collect()
}

#[test]
fn no_modules_use_each_other() {
    let codes = source_files()
        .into_iter()
        .filter(|file| file.module != "lib" && file.module != "main")
        .map(|file| (module_of(&file.path), code(without_tests(&file.text))))
        .collect();
    let mut found = Vec::new();
    for (parent, uses) in siblings(&codes) {
        let circle = in_circles(&uses);
        if !circle.is_empty() {
            found.push(format!("{}: {circle:?}", parent.join("/")));
        }
    }
    assert!(found.is_empty(), "modules that use each other: {found:#?}");
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, text: &str| (module_of(Path::new(path)), text.to_owned());
    let codes = [
        file("a.rs", "mod b; mod c;"),
        file("a/b.rs", "use super::{d, c::{self, X}};"),
        file("a/c.rs", "fn f() { crate::a::b::g() }"),
        file("a/d.rs", "use std::fs;"),
    ];
    let siblings = siblings(&codes.into_iter().collect());
    assert_eq!(in_circles(&siblings[&module_of(Path::new("a"))]), ["b", "c"]);
}
