use super::*;
use trade_http::AllowedHosts;

fn read_with(arguments: &str, environment: &[(&str, &str)]) -> Result<Task, String> {
    let find = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, text)| text.into());
    read(arguments.split_whitespace().map(OsString::from), find)
}

fn served(arguments: &str, environment: &[(&str, &str)]) -> Settings {
    match read_with(arguments, environment) {
        Ok(Task::Serve(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    assert_eq!(served("", &[]).store, "sqlite://trade-network.db");
    assert_eq!(served("", &[("TRADE_STORE", "memory:")]).store, "memory:");
    assert_eq!(served("--store=sqlite://a.db", &[("TRADE_STORE", "memory:")]).store, "sqlite://a.db");
    assert_eq!(served("--listen [::1]:0", &[]).listen, ["[::1]:0".parse().unwrap()]);
    assert_eq!(served("", &[("TRADE_LISTEN", "")]).listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(served("--log-format json", &[]).log_format, LogFormat::Json);
}

#[test]
fn a_certificate_and_its_key_may_come_from_flag_and_environment() {
    assert_eq!(served("", &[]).tls, None);
    let files = served("--tls-cert a.pem", &[("TRADE_TLS_KEY", "b.pem")]).tls;
    assert_eq!(files, Some(TlsFiles { certificate: "a.pem".into(), key: "b.pem".into() }));
}

#[test]
fn what_is_wrong_is_one_line_that_names_it() {
    for (arguments, named) in [
        ("--lisen 127.0.0.1:1", "--lisen"),
        ("--listen", "--listen"),
        ("--listen 8080", "--listen"),
        ("--listen 127.0.0.1:99999", "99999"),
        ("--log trade_core=loud", "--log"),
        ("--log foo", "levels are"),
        ("--log info,foo", "--log"),
        ("--log trade_http", "--log"),
        ("--log inf0", "--log"),
        ("--log=", "--log"),
        ("--log ,", "--log"),
        ("--store sqlite://", "names no file"),
        ("--store sqlite:", "--store"),
        ("--store sqlite://?mode=rwc", "--store"),
        ("--store sqlite://:memory:", "--store"),
        ("--store sqlite://x?mode=memory", "--store"),
        ("verify --store sqlite://", "--store"),
        ("--log-format xml", "--log-format"),
        ("--auth maybe", "--auth"),
        ("verify --auth off", "--auth"),
        ("verify --jwks a.json", "--jwks"),
        ("--jwks", "--jwks"),
        ("--store postgres://h/x --store-read sqlite://a.db", "--store-read"),
        ("--store postgres://h/x --store-read mysql://a/x", "postgres://"),
        ("--store mysql://h/x --store-read postgres://a/x", "mysql://"),
        ("--store mongodb://h/x --store-read mongodb://a/x", "--store-read"),
        ("--store sqlite://a.db --store-read postgres://a/x", "--store-read"),
        ("--store memory: --store-read postgres://a/x", "--store-read"),
        ("--store postgres://h/x --store-read-lag 9", "without --store-read"),
        ("--store sqlite://a.db --store-read-lag 9", "--store-read-lag"),
        ("--store postgres://h/x --store-read postgres://a/x --store-read-lag 0", "--store-read-lag"),
        ("--store postgres://h/x --store-read postgres://a/x --store-read-lag 1.5", "--store-read-lag"),
        ("verify --store-read-lag 9", "--store-read-lag"),
        ("--store sqlite://a.db --store-connections 9", "--store-connections"),
        ("--store memory: --store-poll 9", "--store-poll"),
        ("--store postgres://h/x --store-connections 0", "--store-connections"),
        ("--store postgres://h/x --store-connections many", "--store-connections"),
        ("--store mongodb://h/x --store-poll 0", "--store-poll"),
        ("verify --store-poll 5", "--store-poll"),
        ("--tls-cert a.pem", "--tls-cert: is of no use without --tls-key"),
        ("--tls-key a.pem", "--tls-key: is of no use without --tls-cert"),
        ("verify --tls-cert a.pem", "--tls-cert"),
        ("--allowed-host trade.example:80", "without a port"),
        ("--allowed-host ok.example,*", "--allowed-host"),
        ("verify --allowed-host ok.example", "--allowed-host"),
        ("--rate-limit 0", "--rate-limit"),
        ("--rate-limit 5/", "or off"),
        ("--rate-limit none", "or off"),
        ("verify --rate-limit 5", "--rate-limit"),
        ("--trusted-proxy proxy.example", "10.0.0.0/8"),
        ("--trusted-proxy 10.0.0.1,10.0.0.0/40", "--trusted-proxy"),
        ("--cors-origin app.example", "https://app.example.com"),
        ("--cors-origin https://app.example/path", "--cors-origin"),
        ("--cors-origin null", "null"),
        ("--cors-origin *,https://app.example", "* alone"),
        ("verify --cors-origin https://app.example", "--cors-origin"),
        ("serve", "serve"),
        ("verify again", "again"),
        ("verify --listen 127.0.0.1:1", "--listen"),
        ("import-legacy", "--from"),
        ("import-legacy --from http://h/x", "--from"),
        ("import-legacy --from mongodb://h/x --listen 127.0.0.1:1", "--listen"),
        ("import-legacy --from mongodb://h/x --store sqlite://", "--store"),
        ("--from mongodb://h/x", "--from"),
        ("verify --report x", "--report"),
        ("keys create", "create"),
        ("keys", "keys"),
        ("-x", "x"),
    ] {
        let error = read_with(arguments, &[]).expect_err(arguments);
        assert!(error.contains(named) && !error.contains('\n'), "{arguments}: {error}");
    }
    let error = read_with("", &[("TRADE_LISTEN", "nowhere")]).unwrap_err();
    assert!(error.contains("TRADE_LISTEN"), "{error}");
    let error = read_with("", &[("TRADE_LOG", "foo")]).unwrap_err();
    assert!(error.contains("TRADE_LOG") && error.contains("foo"), "{error}");
    let error = read_with("", &[("TRADE_STORE_POLL", "9")]).unwrap_err();
    assert!(error.contains("TRADE_STORE_POLL"), "{error}");
    let error = read_with("", &[("TRADE_STORE", "sqlite://")]).unwrap_err();
    assert!(error.contains("TRADE_STORE"), "{error}");
}

#[test]
fn a_log_filter_is_levels_and_directives() {
    let filter = |text: &str| served("", &[("TRADE_LOG", text)]).log.to_string();
    for same in ["off", "warn", "trade_http=debug,info", "error,trade_http[request]=trace"] {
        assert_eq!(filter(same), same);
    }
    assert_eq!(filter("INFO"), "info");
    assert_eq!(filter(" trade_http=debug , info, "), "trade_http=debug,info");
}

#[test]
fn another_machine_is_not_served_without_access_control() {
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let error = read_with(&format!("--listen {listen} --auth off"), &[]).unwrap_err();
        assert!(error.contains("--auth") && error.contains("other machines"), "{error}");
        for auth in ["", "--auth auto", "--auth required"] {
            let access = served(&format!("--listen {listen} {auth}"), &[]).access;
            assert!(matches!(access, Access::Required(_)), "{listen} {auth}");
        }
    }
    for listen in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"] {
        let access = |auth: &str| served(&format!("--listen {listen} {auth}"), &[]).access;
        assert!(matches!(access(""), Access::Off(_)) && matches!(access("--auth off"), Access::Off(_)));
        assert!(matches!(access("--auth required"), Access::Required(_)));
    }
    let access = served("", &[("TRADE_AUTH", "required")]).access;
    let Access::Required(Required { issuer: None, buyers_may_initiate: false }) = access else {
        panic!("{access:?}")
    };
    let access = served("--auth required --buyers-may-initiate", &[]).access;
    assert!(matches!(access, Access::Required(Required { buyers_may_initiate: true, .. })));
}

#[test]
fn an_issuer_of_tokens_has_keys_in_a_file_or_at_an_address() {
    let issuer = |arguments: &str, environment: &[(&str, &str)]| {
        let access = served(&format!("--auth required {arguments}"), environment).access;
        let Access::Required(Required { issuer: Some(issuer), .. }) = access else { panic!("{access:?}") };
        issuer
    };
    let file = issuer("--jwks a.json", &[]);
    assert_eq!((file.jwks, file.rules.issuers.len()), (Jwks::File("a.json".into()), 0));
    assert_eq!((&*file.rules.roles_claim, &*file.rules.stations_claim), ("roles", "stations"));
    let url = "https://ada:s3cret@issuer.example/jwks";
    let environment = [("TRADE_JWKS", url), ("TRADE_JWT_ISSUER", "https://issuer.example")];
    let at = issuer("--jwt-audience a,b --jwt-roles-claim /realm/roles --jwt-stations-claim s", &environment);
    assert!(!format!("{at:?}").contains("s3cret"), "{at:?}");
    assert_eq!(at.jwks, Jwks::Url(url.into()));
    assert_eq!((at.rules.issuers, at.rules.audiences.len()), (vec!["https://issuer.example".to_owned()], 2));
    assert_eq!((&*at.rules.roles_claim, &*at.rules.stations_claim), ("/realm/roles", "s"));
    for (arguments, without) in [
        ("--jwks a.json", "--auth required"),
        ("--jwt-issuer x", "--auth required"),
        ("--buyers-may-initiate", "--auth required"),
        ("--auth required --jwt-issuer x", "--jwks"),
        ("--auth required --jwt-audience x", "--jwks"),
        ("--auth required --jwt-roles-claim x", "--jwks"),
    ] {
        let error = read_with(arguments, &[]).unwrap_err();
        assert!(error.contains(without), "{arguments}: {error}");
    }
    let error = read_with("", &[("TRADE_JWKS", url)]).unwrap_err();
    assert!(error.contains("TRADE_JWKS") && !error.contains("s3cret"), "{error}");
}

#[test]
fn hosts_are_allowed_by_name() {
    let both = AllowedHosts::loopback().and("a.example").and_then(|hosts| hosts.and("b.example")).unwrap();
    let from = |arguments, environment| match served(arguments, environment).access {
        Access::Off(hosts) => hosts,
        other => panic!("{other:?}"),
    };
    assert_eq!(from("", &[]), AllowedHosts::loopback());
    assert_eq!(from("--allowed-host a.example,B.example,", &[]), both);
    assert_eq!(from("", &[("TRADE_ALLOWED_HOST", "a.example, b.example")]), both);
}

#[test]
fn requests_are_limited_where_that_is_said_and_by_the_address_that_trusted_proxies_tell() {
    let limit = |arguments, environment| served(arguments, environment).rate_limit;
    assert_eq!(limit("", &[]), None);
    assert_eq!(limit("--rate-limit 5", &[]), RateLimit::new(5, 10).ok());
    assert_eq!(limit("", &[("TRADE_RATE_LIMIT", "5/7")]), RateLimit::new(5, 7).ok());
    assert_eq!(limit("--rate-limit off", &[("TRADE_RATE_LIMIT", "5/7")]), None);
    let proxies = |arguments, environment| served(arguments, environment).trusted_proxies;
    let both = TrustedProxies::none().and("10.0.0.0/8").and_then(|proxies| proxies.and("::1")).unwrap();
    assert_eq!(proxies("", &[]), TrustedProxies::none());
    assert_eq!(proxies("--trusted-proxy 10.0.0.0/8,::1,", &[]), both);
    assert_eq!(proxies("", &[("TRADE_TRUSTED_PROXY", "10.0.0.0/8, ::1")]), both);
}

#[test]
fn pages_of_other_origins_are_allowed_by_name_or_all() {
    let both = CorsOrigins::of(["https://a.example", "http://localhost:3000"]).unwrap();
    let from = |arguments, environment| served(arguments, environment).cors;
    assert_eq!(from("", &[]), CorsOrigins::none());
    assert_eq!(from("--cors-origin https://A.example:443,http://localhost:3000,", &[]), both);
    assert_eq!(from("", &[("TRADE_CORS_ORIGIN", "https://a.example, http://localhost:3000")]), both);
    assert_eq!(from("--cors-origin *", &[("TRADE_CORS_ORIGIN", "https://a.example")]), CorsOrigins::any());
    assert_eq!(from("", &[("TRADE_CORS_ORIGIN", "")]), CorsOrigins::none());
}

#[test]
fn a_store_of_a_server_is_told_how_to_connect() {
    let options = served("", &[]).store_options;
    assert_eq!((options.connections_max, options.read_url), (8, None));
    assert_eq!(options.poll_interval, Duration::from_millis(100));
    let replica = "postgres://ada:s3cret@replica/x";
    let arguments = format!("--store postgres://h/x --store-read {replica} --store-poll 5");
    let options = served(&arguments, &[("TRADE_STORE_CONNECTIONS", "3")]).store_options;
    assert_eq!((options.connections_max, options.read_url.as_deref()), (3, Some(replica)));
    assert_eq!(options.poll_interval, Duration::from_millis(5));
    assert_eq!(options.read_lag, Duration::from_secs(10));
    let options = served(&arguments, &[("TRADE_STORE_READ_LAG", "3")]).store_options;
    assert_eq!(options.read_lag, Duration::from_secs(3));
    let error = read_with("--store postgres://h/x --store-read redis://ada:s3cret@h", &[]).unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn import_legacy_takes_a_source_a_store_and_a_file() {
    let arguments = "import-legacy --from mongodb://h/x --store sqlite://a.db --report r.txt";
    let Ok(Task::Import(import)) = read_with(arguments, &[]) else { panic!("{arguments}") };
    assert_eq!((&*import.from, &*import.store), ("mongodb://h/x", "sqlite://a.db"));
    assert_eq!(import.report.as_deref(), Some("r.txt"));
    let Ok(Task::Import(import)) = read_with("import-legacy", &[("TRADE_IMPORT_FROM", "mongodb://h/x")])
    else {
        panic!("the address of the environment")
    };
    assert_eq!((&*import.store, import.report), ("sqlite://trade-network.db", None));
    let error = read_with("import-legacy --from postgres://ada:s3cret@h/x", &[]).unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn help_is_asked_for_before_or_after_a_subcommand() {
    for words in
        ["help", "help verify", "verify help", "help import-legacy", "import-legacy help", "verify -h"]
    {
        assert!(matches!(read_with(words, &[]), Ok(Task::Help)), "{words}");
    }
    for words in ["help help", "help nonsense", "nonsense help"] {
        assert!(read_with(words, &[]).is_err(), "{words}");
    }
}

#[test]
fn verify_takes_a_store() {
    let task = read_with("verify --store sqlite://a.db", &[]).unwrap();
    assert!(matches!(task, Task::Verify { store } if store == "sqlite://a.db"));
}

#[test]
fn clock_takes_a_store_and_another_one() {
    let task = read_with("clock --into sqlite://b.db", &[("TRADE_STORE", "sqlite://a.db")]).unwrap();
    let Task::Clock { store, into } = task else { panic!("{task:?}") };
    assert_eq!((&*store, into.as_deref()), ("sqlite://a.db", Some("sqlite://b.db")));
    assert!(matches!(read_with("clock", &[]).unwrap(), Task::Clock { into: None, .. }));
    for wrong in [
        "--into sqlite://b.db",
        "verify --into sqlite://b.db",
        "clock --listen 127.0.0.1:1",
        "clock --from x",
    ] {
        assert!(read_with(wrong, &[]).is_err(), "{wrong}");
    }
}
