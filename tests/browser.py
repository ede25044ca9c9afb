"""A headless Chromium for tests of the pages that the package writes."""
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = next(
    filter(
        None,
        map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
    None)
CHROMEDRIVER = shutil.which('chromedriver')

# conftest.py skips these tests where there is no browser.
needs_browser = pytest.mark.browser


@contextmanager
def open_browser(width: int = 1280, height: int = 900):
    """Start Chromium in a window of so many pixels; nothing is downloaded.

    Yields:
        Selenium's driver.
    """
    webdriver = pytest.importorskip('selenium.webdriver')
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage',
                 f'--window-size={width},{height}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = webdriver.Chrome(
        options=options,
        service=webdriver.ChromeService(executable_path=CHROMEDRIVER))
    driver.set_script_timeout(20)
    try:
        yield driver
    finally:
        driver.quit()


def console_errors(driver) -> list[str]:
    """What the browser complained of since the last call."""
    return [
        entry['message'] for entry in driver.get_log('browser')
        if entry['level'] == 'SEVERE'
    ]
