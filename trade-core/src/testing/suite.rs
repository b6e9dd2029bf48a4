//! How a list of cases becomes tests: what the suites have in common.
//!
//! A suite is named by its module of the kit, the trait of its factories and the macro that has the list of its cases.

#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_suite {
    ($suite:tt $name:ident, $factory:expr, needs = $variable:literal) => {
        $crate::__trade_core_suite!(@tests $suite [#[ignore = $variable]] $name, {
            $crate::testing::conformance::server_url($variable);
            $factory
        }, {
            #[test]
            fn a_server_is_there_where_it_is_required() {
                $crate::testing::conformance::require_server($variable);
            }
        });
    };
    ($suite:tt [$(#[$attribute:meta])*] $name:ident, $factory:expr) => {
        $crate::__trade_core_suite!(@tests $suite [$(#[$attribute])*] $name, $factory, {});
    };
    (@tests ($kit:ident $trait:ident $cases:ident) $attributes:tt $name:ident, $factory:expr, { $($more:item)* }) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn factory() -> impl $crate::testing::$kit::$trait + 'static {
                $factory
            }

            $($more)*

            $crate::$cases!(__trade_core_case_tests [$kit $attributes]);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_case_tests {
    ($of:tt $($theme:ident { $($case:ident)* })*) => {
        $(mod $theme {
            $($crate::__trade_core_case_test! { $of $theme $case })*
        })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_case_test {
    ([$kit:ident [$(#[$attribute:meta])*]] $theme:ident $case:ident) => {
        #[test]
        $(#[$attribute])*
        fn $case() {
            let case = $crate::testing::$kit::Case {
                name: concat!(stringify!($theme), "::", stringify!($case)),
                run: |harness| Box::pin($crate::testing::$kit::$theme::$case(harness)),
            };
            case.run_as_test(super::factory());
        }
    };
}

/// The list of a suite as [`CASES`](crate::testing::conformance::CASES) has it.
#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_case_table {
    ([] $($theme:ident { $($case:ident)* })*) => {
        /// Every case of the suite.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($theme), "::", stringify!($case)),
            run: |harness| Box::pin($theme::$case(harness)),
        },)*)*];
    };
}
