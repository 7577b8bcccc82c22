//! Places, types, overlays and repeated keys of YAML trees.

use super::*;

fn parse(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let file = Arc::new(SourceFile { path: "a.yml".into(), text: text.into() });
    let mut findings = Vec::new();
    (Node::parse(&file, &mut findings), findings)
}

fn written(node: &Node) -> &str {
    &node.place.file.text[node.place.span.clone()]
}

#[test]
fn a_place_holds_the_text_without_its_quotes() {
    for yaml in [
        "é: x\nkey: count(*)\n",
        "key: \"count(*)\"  # why\n",
        "é: {key: 'count(*)'}\n",
        "\r\nkey:   count(*)\r\nnext: 1\r\n",
        "key: &a count(*)\nother: *a\n",
        "key: !!str count(*)\n",
        "\u{feff}key: count(*)\n",
    ] {
        let (node, findings) = parse(yaml);
        let node = node.unwrap_or_else(|| panic!("{yaml:?} is YAML: {findings:?}"));
        let inner = node.entries()[0].value.entries().first().map_or(&node, |_| &node.entries()[0].value);
        let value = inner.get("key").unwrap_or_else(|| panic!("{yaml:?} has the key"));
        assert_eq!(written(value), "count(*)", "{yaml:?}");
    }
}

#[test]
fn an_escaped_or_folded_text_keeps_a_place_around_it() {
    for (yaml, expected) in [
        ("key: \"a\\tb\"\n", "\"a\\tb\""),
        ("key: 'it''s'\n", "'it''s'"),
        ("key: |\n  select 1\n  from a\nnext: 1\n", "select 1\n  from a"),
        ("key: |-\n  select 1\nnext: 1\n", "select 1"),
        ("key: >\n  one\n  two\n", "one\n  two"),
    ] {
        let (node, _) = parse(yaml);
        let node = node.expect("YAML");
        assert!(written(node.get("key").expect("the key")).starts_with(expected), "{yaml:?}: {node:?}");
    }
}

#[test]
fn scalars_keep_their_type() {
    let (node, _) = parse("[1, -2, 1.5, true, no, yes, ~, 007, 1e400, .nan, 2026-01-01, \"1\", 0x10]");
    let Some(Content::List(items)) = node.map(|node| node.content) else { panic!("a list") };
    let kinds: Vec<String> = items.iter().map(|item| format!("{:?}", item.content)).collect();
    let expected = [
        "Number(Number(1))",
        "Number(Number(-2))",
        "Number(Number(1.5))",
        "Boolean(true)",
        "Text(\"no\")",
        "Text(\"yes\")",
        "Null",
        "Text(\"007\")",
        "Text(\".inf\")",
        "Text(\".nan\")",
        "Text(\"2026-01-01\")",
        "Text(\"1\")",
        "Number(Number(16))",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn overlays_merge_maps_and_replace_the_rest() {
    let (base, _) = parse("a: {b: 1, c: [1, 2]}\nd: 1\n");
    let (over, _) = parse("a: {c: [3], e: 4}\nd: {f: 5}\n");
    let merged = base.expect("YAML").overlaid(&over.expect("YAML"));
    let number = |path: [&str; 2]| {
        let node = merged.get(path[0]).and_then(|node| node.get(path[1])).expect("the path").content.clone();
        match node {
            Content::Number(number) => number.as_i64(),
            Content::List(items) => i64::try_from(items.len()).ok().map(|count| -count),
            _ => None,
        }
    };
    assert_eq!(number(["a", "b"]), Some(1));
    assert_eq!(number(["a", "c"]), Some(-1), "lists replace");
    assert_eq!(number(["a", "e"]), Some(4));
    assert_eq!(number(["d", "f"]), Some(5), "a map replaces a scalar");
}

#[test]
fn an_empty_file_is_an_empty_map_and_a_repeated_key_keeps_its_first_value() {
    for yaml in ["", "# nothing\n", "---\n", "~\n"] {
        let (node, findings) = parse(yaml);
        assert!(matches!(node.expect("YAML").content, Content::Map(entries) if entries.is_empty()), "{yaml:?}");
        assert!(findings.is_empty());
    }
    let (node, findings) = parse("a: 1\na: 2\na: 3\n");
    assert_eq!(node.expect("YAML").entries().len(), 1);
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["duplicate-key"; 2]);
}

#[test]
fn tags_that_the_parser_would_drop_are_findings() {
    for (yaml, tags) in [
        ("key: !foo bar\n", &["!foo"][..]),
        ("key: !foo \"bar\"\n", &["!foo"]),
        ("key: !secret\n  a: b\n", &["!secret"]),
        ("key: !foo &a bar\nother: *a\n", &["!foo"]),
        ("key: &a !foo bar\n", &["!foo"]),
        ("- !env NAME\n- [!a x, !b y]\n- {k: !c z}\n", &["!env", "!a", "!b", "!c"]),
        ("key: !!binary aGk=\n", &["!!binary"]),
        ("key: !<tag:example.test,2026:x> y\n", &["!<tag:example.test,2026:x>"]),
        ("!foo\nkey: bar\n", &["!foo"]),
        ("!foo key: bar\n", &["!foo"]),
        ("key: !!str 5\n", &[]),
        ("key: well !done\nnext: 1\n", &[]),
        ("key: \"a: !done\"\nnext: 1\n", &[]),
        ("# see: !this\nkey: 1\n", &[]),
        ("key: |\n  a: !done\nnext: 1\n", &[]),
        ("key: 1 # see: !this\nnext: 1\n", &[]),
        ("'!key': '!value'\n", &[]),
    ] {
        let (node, findings) = parse(yaml);
        assert!(node.is_some(), "{yaml:?}: {findings:?}");
        let found: Vec<&str> = findings
            .iter()
            .filter_map(|finding| finding.place.as_ref())
            .map(|place| &place.file.text[place.span.clone()])
            .collect();
        assert_eq!(found, tags, "{yaml:?}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.code == "yaml-tag"), "{yaml:?}: {findings:?}");
    }
}
