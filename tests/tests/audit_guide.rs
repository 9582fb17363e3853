//! Every command of `docs/audit.md` works as it stands there.

use cofferdam_tests::guide;

#[test]
fn every_command_of_the_guide_works() {
    let out = guide::run("audit.md", 7, &[]);
    for said in ["1 of 1 checks held", "bucket.versioning", "4 of 4 addresses", "bucket.root"] {
        assert!(out.contains(said), "{said}\n{out}");
    }
}
