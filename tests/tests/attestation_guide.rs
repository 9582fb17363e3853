//! Every command of `docs/attestation.md` works as it stands there.

use cofferdam_tests::guide;

#[test]
fn every_command_of_the_guide_works() {
    let out = guide::run("attestation.md", 12, &[]);
    for said in
        ["✓ verified: made inside", "NOT VERIFIED", "leaf.pem: OK", "Verified OK", "Verified Successfully"]
    {
        assert!(out.contains(said), "{said}\n{out}");
    }
}
