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

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason='chromium and chromedriver are not installed')


@contextmanager
def open_browser(width: int = 1280, height: int = 900):
    """Start Chromium; no driver is downloaded.

    Args:
        width: Width of the window in pixels.
        height: Height of the window in pixels.

    Yields:
        selenium.webdriver.Chrome: The driver.
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


def console_errors(driver) -> list:
    """What the browser complained of since the last call.

    Args:
        driver: The driver.

    Returns:
        Messages of level SEVERE.
    """
    return [
        entry['message'] for entry in driver.get_log('browser')
        if entry['level'] == 'SEVERE'
    ]
