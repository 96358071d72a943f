//! Reads the source: what decides has no socket, clock or randomness of its own, `unsafe` stays
//! behind its two doors, and nothing depends on the order of a hash table.

use std::fs;
use std::path::{Path, PathBuf};

/// What is pure: all but these files' and folders' own tests.
const PURE_FILES: [&str; 16] = [
    "src/bans.rs",
    "src/cause.rs",
    "src/event.rs",
    "src/fingerprint.rs",
    "src/hash.rs",
    "src/histogram.rs",
    "src/limits.rs",
    "src/log_throttle.rs",
    "src/management.rs",
    "src/name.rs",
    "src/news.rs",
    "protocol/src/lib.rs",
    "src/quoted.rs",
    "src/rate.rs",
    "src/relay.rs",
    "src/switchboard.rs",
];
const PURE_FOLDERS: [&str; 7] = [
    "src/cause",
    "src/limits",
    "src/management",
    "src/name",
    "protocol/src",
    "src/relay",
    "src/switchboard",
];

/// Sockets, clocks, randomness and whatever else is not handed in. A `HashMap` made without a
/// hasher draws a random key.
const IMPURE: [&str; 34] = [
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "mio",
    "socket2",
    "libc",
    "std::io",
    "std::os",
    "Instant::now",
    "elapsed",
    "SystemTime",
    "UNIX_EPOCH",
    "sleep",
    "getrandom",
    "rand",
    "RandomState",
    "DefaultHasher",
    "HashMap::new",
    "HashMap::default",
    "HashMap::with_capacity",
    "HashMap::from",
    "HashSet::new",
    "HashSet::default",
    "thread",
    "thread_local",
    "Mutex",
    "std::env",
    "std::fs",
    "std::process",
    "static mut",
];

/// What the simulator runs of the loop: it has sockets and randomness handed in by their traits, and
/// the time by the turn.
const SIMULATED_FILES: [&str; 6] = [
    "src/connection.rs",
    "src/server/accept.rs",
    "src/server/connections.rs",
    "src/server/core.rs",
    "src/server/handshakes.rs",
    "src/server/voice.rs",
];
const SIMULATED_FOLDERS: [&str; 4] = [
    "src/connection",
    "src/server/connections",
    "src/server/core",
    "src/server/voice",
];

const CLOCKS: [&str; 4] = ["Instant::now", "elapsed", "SystemTime", "sleep"];

const ITERATIONS: [&str; 11] = [
    ".iter(",
    ".iter_mut(",
    ".into_iter(",
    ".keys(",
    ".into_keys(",
    ".values(",
    ".values_mut(",
    ".into_values(",
    ".drain(",
    ".retain(",
    ".extract_if(",
];

struct Source {
    path: PathBuf,
    /// Line numbers and code, without comments and tests.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(root.join(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Source {
            path: path.into(),
            lines: code(&text),
        }
    }

    fn find<'a>(&'a self, word: &'a str) -> impl Iterator<Item = String> + 'a {
        let found = self.lines.iter().filter(move |(_, line)| names(line, word));
        found.map(move |(number, _)| format!("{}:{number}: {word}", self.path.display()))
    }
}

/// The lines of a file that are code, without what comes under `#[cfg(test)]`.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut code = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // The item ends with a semicolon, a field with a comma, or either where its brace closes at
            // its own indentation.
            let indent = &line[..line.len() - line.trim_start().len()];
            for (_, line) in lines.by_ref() {
                if line.ends_with([';', ',']) && !line.starts_with(&format!("{indent} "))
                    || line == format!("{indent}}}")
                {
                    break;
                }
            }
            continue;
        }
        let line = line.split("//").next().unwrap_or_default();
        code.push((number, line.to_owned()));
    }
    code
}

/// Whether `line` has `word` in it, and not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

/// All `.rs` files below this folder, which must exist and have some.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries =
        fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            files.extend(files_below(&path));
        } else if name.ends_with(".rs") {
            files.push(path.into());
        }
    }
    assert!(!files.is_empty(), "{folder} is empty");
    files.sort();
    files
}

#[test]
fn what_decides_names_no_socket_no_clock_and_no_randomness() {
    let folders = PURE_FOLDERS.into_iter().flat_map(files_below);
    let files = PURE_FILES.into_iter().map(PathBuf::from).chain(folders);
    let sources: Vec<_> = files
        .filter(|path| {
            !path
                .iter()
                .any(|part| part == "tests.rs" || part == "tests")
        })
        .map(|path| Source::read(&path))
        .collect();
    let found: Vec<_> = sources
        .iter()
        .flat_map(|source| IMPURE.iter().flat_map(|word| source.find(word)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Of a client, the links alone have sockets, and with them threads and a clock. Its files are files.
#[test]
fn a_client_is_told_the_time_and_what_was_received() {
    let impure = [
        "TcpListener",
        "TcpStream",
        "ToSocketAddrs",
        "UdpSocket",
        "Instant::now",
        "elapsed",
        "SystemTime",
        "sleep",
        "spawn",
        "getrandom",
        "voiceapp_server",
    ];
    let files = files_below("client/src").into_iter().filter(|path| {
        let name = path.to_str().expect("it is plain");
        let is_elsewhere = ["client/src/bin/", "client/src/link"]
            .iter()
            .any(|it| name.starts_with(it));
        !is_elsewhere && !name.contains("/tests")
    });
    let sources: Vec<_> = files.map(|path| Source::read(&path)).collect();
    assert!(sources.len() > 20, "it looks at nothing");
    let found: Vec<_> = sources
        .iter()
        .flat_map(|source| impure.iter().flat_map(|word| source.find(word)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// The library that does TLS can be another one day, and what it is asked for can be read in one place.
#[test]
fn a_client_names_the_tls_library_in_one_file() {
    let names = ["rustls", "ring", "rustls_native_certs", "webpki"];
    let files = files_below("client/src").into_iter().filter(|path| {
        let name = path.to_str().expect("it is plain");
        !name.starts_with("client/src/link/tls")
    });
    let found: Vec<_> = files
        .map(|path| Source::read(&path))
        .flat_map(|source| names.map(|word| source.find(word).collect::<Vec<_>>()))
        .flatten()
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What several programs need is a package, and is compiled once.
#[test]
fn clients_tools_and_examples_share_no_files() {
    let folders = ["client/src", "client/tests", "examples", "tools"].into_iter();
    for path in folders.flat_map(files_below) {
        let shared: Vec<_> = Source::read(&path).find("#[path").collect();
        assert!(shared.is_empty(), "{shared:?}");
    }
}

#[test]
fn unsafe_stays_behind_its_doors() {
    let files = files_below("src");
    let outside = files.iter().filter(|path| {
        let path = path.to_str().unwrap();
        !["src/udp.rs", "src/system.rs"].contains(&path) && !path.starts_with("src/udp/")
    });
    let sources: Vec<_> = outside.map(|path| Source::read(path)).collect();
    let found: Vec<_> = sources
        .iter()
        .flat_map(|source| source.find("unsafe"))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What is the whole process's is for its application to change: here, the binary. The library has it
/// to offer, where it must.
#[test]
fn the_library_changes_neither_allocator_nor_log() {
    let of_the_binary = [
        "src/main.rs",
        "src/cli/log_level.rs",
        "src/cli/log_writer.rs",
    ];
    let offered = ["src/lib.rs", "src/system.rs"];
    let process_wide = [
        ("return_large_buffers", &offered[..]),
        ("mallopt", &offered[1..]),
        ("set_max_level", &[]),
        ("set_logger", &[]),
        ("set_boxed_logger", &[]),
    ];
    let binary = Source::read(Path::new(of_the_binary[0]));
    assert_eq!(binary.find("return_large_buffers").count(), 1);
    for path in files_below("src") {
        let name = path.to_str().expect("it is plain").to_owned();
        if of_the_binary.contains(&&*name) {
            continue;
        }
        let source = Source::read(&path);
        for (word, homes) in &process_wide {
            let found: Vec<_> = source.find(word).collect();
            assert!(found.is_empty() || homes.contains(&&*name), "{found:#?}");
        }
        // The one that offers it does not call it.
        assert!(source.find("return_large_buffers").count() <= 1);
    }
}

/// An application with a server inside has no command line: what it is told speaks of fields.
#[test]
fn only_the_command_line_speaks_of_options() {
    let folders = ["src/server", "src/config"]
        .into_iter()
        .flat_map(files_below);
    let files = ["src/server.rs", "src/config.rs"].map(PathBuf::from);
    for path in files.into_iter().chain(folders) {
        let source = Source::read(&path);
        for (number, line) in source.lines {
            let is_option = line
                .match_indices("--")
                .any(|(at, _)| line[at + 2..].starts_with(|char: char| char.is_ascii_lowercase()));
            assert!(!is_option, "{}:{number}: {line}", path.display());
        }
    }
}

/// The names in this code that are declared to be hash tables, as fields, arguments or variables.
fn hash_tables(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for table in ["HashMap", "HashSet"] {
        for declared in [":", ":&", ":&mut", "="] {
            for (at, _) in code.match_indices(&format!("{declared}{table}")) {
                let name = code[..at].rsplit(|char: char| !char.is_alphanumeric() && char != '_');
                names.extend(name.take(1).filter(|name| !name.is_empty()));
            }
        }
    }
    names
}

/// Lines of this source on which a hash table is iterated.
fn iterated(source: &Source) -> Vec<String> {
    // Without white space, so that it does not matter how a chain of calls was broken into lines.
    let mut packed = String::new();
    let mut line_at = Vec::new();
    for (number, line) in &source.lines {
        packed.extend(line.chars().filter(|char| !char.is_whitespace()));
        line_at.resize(packed.len(), *number);
    }
    let mut found = Vec::new();
    for table in hash_tables(&packed) {
        let calls = ITERATIONS.map(|call| format!("{table}{call}"));
        let loops = ["in", "in&", "in&mut"].map(|each| {
            let field = format!("{each}self.{table}{{");
            [field, format!("{each}{table}{{")]
        });
        for use_of in calls.into_iter().chain(loops.into_iter().flatten()) {
            let places = packed.match_indices(&use_of);
            found.extend(places.map(|(at, _)| {
                let path = source.path.display();
                format!("{path}:{}: {use_of}", line_at[at])
            }));
        }
    }
    found
}

#[test]
fn what_is_simulated_reads_no_clock() {
    let below = SIMULATED_FOLDERS
        .iter()
        .flat_map(|folder| files_below(folder));
    let paths = SIMULATED_FILES.iter().map(PathBuf::from).chain(below);
    let paths: Vec<_> = paths.filter(|path| !path.ends_with("tests.rs")).collect();
    assert!(paths.len() > SIMULATED_FILES.len() + SIMULATED_FOLDERS.len());
    for source in paths.iter().map(|path| Source::read(path)) {
        let found: Vec<_> = CLOCKS.iter().flat_map(|clock| source.find(clock)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Its interface is about to change, and what holds on to it is not to be spread over the server.
#[test]
fn the_tls_library_is_known_to_one_file() {
    let door = Path::new("src/tls.rs");
    let paths = files_below("src").into_iter();
    let paths = paths.filter(|path| path != door && !path.ends_with("tests.rs"));
    for source in paths.map(|path| Source::read(&path)) {
        for library in ["rustls", "ring", "rcgen"] {
            let found: Vec<_> = source.find(library).collect();
            assert!(found.is_empty(), "{found:#?}");
        }
    }
    let door = Source::read(door);
    assert!(door.find("rustls").next().is_some(), "it looks at nothing");
}

#[test]
fn no_hash_table_is_iterated() {
    let sources = files_below("src")
        .into_iter()
        .map(|path| Source::read(&path));
    let found: Vec<_> = sources.flat_map(|source| iterated(&source)).collect();
    assert!(found.is_empty(), "{found:#?}");
    let relay = Source::read(Path::new("src/relay/tables.rs"));
    let relay: String = relay.lines.into_iter().map(|(_, line)| line).collect();
    let tables = relay.replace(' ', "");
    assert!(
        hash_tables(&tables).contains(&"by_address"),
        "it looks at nothing"
    );
}

#[test]
fn these_tests_find_what_they_look_for() {
    let text = "\
struct A { map: HashMap<u8, u8, Key> }
#[cfg(test)]
mod tests;
let now = Instant::now(); // SystemTime
for x in &self.map {}
self.map
    .values_mut();
#![deny(unsafe_code)]
    #[cfg(test)]
    fn helper(
        now: Instant,
    ) {
        let x = UdpSocket::bind();
    }
unsafe { }
#[cfg(test)]
mod tests {
    use std::thread;
    fn f() {
    }
}
mio::Poll";
    let source = Source {
        path: "x.rs".into(),
        lines: code(text),
    };
    let find = |word| source.find(word).collect::<Vec<_>>();
    assert_eq!(find("Instant::now"), ["x.rs:4: Instant::now"]);
    assert_eq!(find("unsafe"), ["x.rs:15: unsafe"]);
    assert_eq!(find("mio"), ["x.rs:22: mio"]);
    for word in ["SystemTime", "UdpSocket", "thread"] {
        assert!(find(word).is_empty(), "{word}");
    }
    let mut lines = iterated(&source);
    lines.sort();
    assert_eq!(lines, ["x.rs:5: in&self.map{", "x.rs:6: map.values_mut("]);
}
