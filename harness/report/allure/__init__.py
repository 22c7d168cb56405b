"""The run as Allure shows it: its result files, which any Allure reads, and the site that Allure 3 makes of them."""
