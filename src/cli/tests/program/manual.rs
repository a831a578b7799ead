//! Completions and manual pages.

use crate::{names, run, said, scratch};

#[test]
fn every_command_has_a_manual_page_and_completions() {
    let (_dir, file) = scratch();
    let ended = run(&["manual".as_ref(), file("man").as_os_str()]);
    assert!(ended.status.success(), "{}", said(&ended));
    let pages = names(&file("man"));
    for command in ["enhance", "batch", "image", "harvest", "view", "doctor", "completions"] {
        assert!(pages.contains(&format!("facesr-{command}.1")), "{pages:?}");
    }
    assert!(!pages.contains(&"facesr-manual.1".into()), "{pages:?}");
    let page = std::fs::read_to_string(file("man/facesr-enhance.1")).unwrap();
    assert!(page.contains("\\-\\-gallery") && page.contains("never evidence"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        let text = String::from_utf8(ended.stdout).unwrap();
        assert!(text.contains("harvest") && text.contains("detector-model"), "{shell}: {text}");
    }
}
