"""Each check of the ratchet passes a good tree and fails a bad one."""
import tempfile
import unittest
from pathlib import Path

import circles
import code_lines
import messages
import ratchet
import type_names
from rust_source import lex, without_tests


def texts(source):
    return [token.text for token in without_tests(lex(source))]


class Tree(unittest.TestCase):
    """A workspace of one crate, written from a dictionary of its files."""

    def tree(self, files, crate="one"):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "Cargo.toml").write_text(f'[workspace]\nmembers = ["{crate}"]\n')
        for name, text in files.items():
            path = root / crate / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root


class Lexer(unittest.TestCase):
    def test_comments_nest_and_are_not_seen_in_strings(self):
        self.assertEqual(texts('a /* b /* c */ d */ e // f\n"// g" h'), ["a", "e", '"// g"', "h"])

    def test_raw_strings_hold_quotes_and_braces(self):
        self.assertEqual(texts('r##"}"# "##; b"\\"{"; r#type'), ['r##"}"# "##', ";", 'b"\\"{"', ";", "r#type"])

    def test_characters_are_told_from_lifetimes(self):
        self.assertEqual(texts("'a, '{' '\\'' '\\u{1f600}' b'\"' &'static x"), ["'a", ",", "'{'", "'\\''", "'\\u{1f600}'", "b'\"'", "&", "'static", "x"])

    def test_items_for_tests_are_left_out_with_all_their_attributes(self):
        self.assertEqual(texts("#[allow(x)] #[cfg(test)] #[y] mod t { fn f() {} } fn g() {}"), texts("fn g() {}"))
        self.assertEqual(texts("#[cfg(test)] use a::{b, c}; #[cfg(test)] const N: [u8; 2] = [1, 2]; x"), ["x"])
        self.assertEqual(texts("#[cfg(test)] fn f<A, B>(a: A) -> B { a } x"), ["x"])
        self.assertEqual(texts("S { #[cfg(test)] a: u8, b: u8 }"), texts("S { b: u8 }"))
        self.assertEqual(texts("#![cfg(test)] x"), [])

    def test_other_conditions_are_kept(self):
        for condition in ["not(test)", "any(test, x)", 'feature = "test"']:
            self.assertIn("f", texts(f"#[cfg({condition})] fn f() {{}}"))
        self.assertNotIn("f", texts("#[cfg(all(unix, test))] fn f() {}"))


class CodeLines(Tree):
    def test_only_code_is_counted(self):
        lib = '//! Doc\n\nmod a; // why\n#[cfg(test)]\nmod vectors;\n/* x\n */\nconst T: &str = "one\n\ntwo";\n'
        root = self.tree({"lib.rs": lib, "a.rs": "/// Doc\nfn f() {\n}\n", "vectors.rs": "fn g() {}\n"})
        self.assertEqual(code_lines.count(root), {"one": 5})
        self.assertEqual(code_lines.longest(root), 3)

    def test_a_chain_is_counted_apart(self):
        files = {"lib.rs": "mod evm;\nmod key;\n", "evm/mod.rs": "fn f() {}\n", "key.rs": "fn f() {}\n"}
        self.assertEqual(code_lines.count(self.tree(files, "chains")), {"chains": 4, "chains/shared": 3, "chains/evm": 1})

    def test_a_module_without_a_file_fails(self):
        with self.assertRaises(SystemExit):
            code_lines.count(self.tree({"lib.rs": "mod a;\n"}))


class Circles(Tree):
    def circles(self, files):
        root = self.tree(files)
        found, _ = circles.all_circles(root)
        return [[path.name for path in circle] for circle in found["one"]]

    def test_files_that_import_each_other_are_one(self):
        files = {"lib.rs": "mod a; mod b; mod c;", "a.rs": "use crate::b::B; pub struct A;"}
        files |= {"b.rs": "pub struct B; fn f(_: &crate::c::C) {}", "c.rs": "use super::a; pub struct C(a::A);"}
        self.assertEqual(self.circles(files), [["a.rs", "b.rs", "c.rs"]])
        self.assertEqual(self.circles(files | {"c.rs": "pub struct C;"}), [])

    def test_a_name_that_is_passed_on_leads_to_where_it_is_defined(self):
        files = {"lib.rs": "mod a; mod b; pub use a::{A as X}; pub use b::*;", "a.rs": "use crate::B; pub struct A;"}
        self.assertEqual(self.circles(files | {"b.rs": "use crate::X; pub struct B;"}), [["a.rs", "b.rs"]])
        self.assertEqual(self.circles(files | {"b.rs": "pub struct B;"}), [])

    def test_a_module_is_made_of_those_below_it(self):
        files = {"lib.rs": "mod a; fn f() { a::g() } pub struct L;", "a.rs": "use super::L; pub fn g() {}"}
        self.assertEqual(self.circles(files), [])

    def test_imports_of_tests_are_none(self):
        files = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B; pub struct A;"}
        b = "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"
        self.assertEqual(self.circles(files | {"b.rs": b}), [])


class TypeNames(Tree):
    def test_a_name_of_two_types_is_found(self):
        files = {"lib.rs": "mod a; pub struct X; enum Y {} impl T for X { type Z = X; }", "a.rs": "trait T { type Z; } type X = u8;"}
        share, again = type_names.shares(self.tree(files))["one"]
        self.assertEqual((share, sorted(again)), (50, ["X"]))
        self.assertEqual(type_names.shares(self.tree(files | {"a.rs": "#[cfg(test)] struct X;"}))["one"], (0, {}))


class Messages(Tree):
    def check(self, source, exceptions=""):
        root = self.tree({"lib.rs": source})
        path = root / messages.EXCEPTIONS
        path.parent.mkdir(parents=True)
        path.write_text(exceptions)
        refused, unneeded = messages.check(root)
        return [text.split(": ", 1)[1] for text in refused], list(unneeded.elements()), root

    def test_a_message_without_what_was_found_is_refused(self):
        refused, _, _ = self.check('#[error("{0} bytes \\\n   were expected")] f("at most {N} was expected, or 1")')
        self.assertEqual(refused, ["{0} bytes were expected", "at most {N} was expected, or 1"])

    def test_what_was_found_comes_after_or_is_called_so(self):
        for good in ['"a b was expected, found {0}"', '"found {0} where b was expected"', '"b was expected: {error}"', "// was expected"]:
            self.assertEqual(self.check(f"f({good}\n)")[0], [], good)

    def test_exceptions_only_get_fewer(self):
        bad = 'f("b was expected"); '
        self.assertEqual(self.check(bad, "b was expected\n")[:2], ([], []))
        self.assertEqual(self.check(bad * 2, "b was expected\n")[0], ["b was expected"])
        _, unneeded, root = self.check(bad, "a was expected\nb was expected\nb was expected\n")
        self.assertEqual(unneeded, ["a was expected", "b was expected"])
        messages.shorten(root)
        self.assertEqual((root / messages.EXCEPTIONS).read_text(), "b was expected\n")


class Limits(unittest.TestCase):
    def wrong(self, value, limit, goal):
        return ratchet.judge({"lines": {"core": {"limit": limit, "goal": goal}}}, {"lines": {"core": value}})[1]

    def test_a_number_above_its_limit_fails(self):
        self.assertEqual(self.wrong(1000, 1000, 500), [])
        self.assertIn("at most 1000", self.wrong(1001, 1000, 500)[0])

    def test_a_limit_follows_its_number_down_to_the_goal(self):
        self.assertEqual(self.wrong(980, 1000, 500), [])
        self.assertIn("lower it", self.wrong(979, 1000, 500)[0])
        self.assertIn("lower it", self.wrong(0, 1, 0)[0])
        self.assertEqual(self.wrong(100, 500, 500), [])

    def test_each_number_has_a_limit_and_each_limit_a_number(self):
        _, wrong = ratchet.judge({"circles": {"old": {"limit": 0, "goal": 0}}}, {"circles": {"new": 0}})
        self.assertEqual(len(wrong), 2)

    def test_limits_are_lowered_to_their_number_or_goal(self):
        text = '[lines]\n# Why\ncore = { limit = 9, goal = 5 }\n"a/b" = { limit = 9, goal = 5 }\nc = { limit = 9, goal = 5 }\n'
        new = ratchet.lowered(text, {"lines": {"core": 7, "a/b": 1, "c": 10}})
        self.assertEqual(new, text.replace("core = { limit = 9", "core = { limit = 7").replace('b" = { limit = 9', 'b" = { limit = 5'))

    def test_a_limit_is_raised_only_with_a_reason(self):
        old, new = ({"lines": {"core": {"limit": n}}, "circles": {"x": {"limit": n}}} for n in (1, 2))
        self.assertEqual(len(list(ratchet.raised(old, new, False))), 2)
        self.assertEqual(len(list(ratchet.raised(old, new, True))), 1)
        self.assertEqual(list(ratchet.raised(new, old, False)), [])

    def test_what_is_to_be_absent_is_found(self):
        tree = {"tokio v1.0.0", 'tokio feature "fs"', 'tokio feature "net"', "tracing-subscriber v0.3.0"}
        absent = ["tokio/fs", "tokio/process", "tracing-subscriber", "tracing"]
        self.assertEqual(ratchet.present(tree, absent), ["tokio/fs", "tracing-subscriber"])


if __name__ == "__main__":
    unittest.main()
