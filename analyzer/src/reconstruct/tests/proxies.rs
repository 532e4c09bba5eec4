//! A proxy in front of the application: who asked is its client, not the proxy.

use saigen_schemas::report::{Grade, Role};

use crate::reconstruct::tests::house::{House, INTRUDER, SERVICE_UID, malicious, said};

/// A machine on which a proxy takes the requests.
fn behind_a_proxy() -> House {
    let mut house = House::new();
    let proxy = house
        .scene
        .stood(None, "/usr/sbin/nginx", &["/usr/sbin/nginx"]);
    house.scene.listen(proxy, 443);
    house.proxy = Some(proxy);
    house
}

#[test]
fn the_client_of_a_proxy_is_the_entry_and_its_other_clients_stay_out() {
    let mut house = behind_a_proxy();
    for last in 1..40 {
        house.visit(&format!("198.51.100.{last}"));
    }
    house.intrusion(INTRUDER, "/tmp/.x");
    for last in 40..60 {
        house.visit(&format!("198.51.100.{last}"));
    }
    let told = house.scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 1);
    let incident = &told.incidents[0];
    let entry = said(incident);
    assert!(
        entry.contains(INTRUDER)
            && entry.contains("nginx")
            && entry.contains("passed the request on"),
        "{entry}"
    );
    assert_eq!(incident.entry[0].grade, Grade::Inferred);
    assert!(!entry.contains("127.0.0.1"), "{entry}");
    let lines = malicious(incident);
    assert!(
        !lines.iter().any(|line| line.starts_with("getent")),
        "{lines:#?}"
    );
    let proxy = incident
        .processes
        .iter()
        .find(|process| process.image.as_deref() == Some("/usr/sbin/nginx"));
    assert_eq!(proxy.map(|process| process.role), Some(Role::Carrier));
}

#[test]
fn what_the_same_client_asked_for_through_a_proxy_belongs_to_the_intrusion() {
    let mut house = behind_a_proxy();
    house.visit("198.51.100.7");
    house.intrusion(INTRUDER, "/tmp/.x");
    house.visit("198.51.100.8");
    let (shell, _) = house.request(INTRUDER, "x;cp -r /srv/shop /srv/www/old");
    let (cp, _) = house.scene.start(
        shell,
        SERVICE_UID,
        &["cp", "-r", "/srv/shop", "/srv/www/old"],
    );
    house.scene.exit(cp);
    let told = house.scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 1);
    let lines = malicious(&told.incidents[0]);
    assert!(
        lines.iter().any(|line| line.starts_with("cp -r")),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.starts_with("getent")),
        "{lines:#?}"
    );
}
