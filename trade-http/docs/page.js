// Requests of the page go to the server that the description came from, under its prefix: RapiDoc itself reads a relative
// address of a server as one of the host.
const page = document.querySelector('rapi-doc');
const description = new URL(page.getAttribute('spec-url'), document.baseURI);
const server = new URL('.', description).href.replace(/\/$/, '');
page.setAttribute('server-url', server);
page.setAttribute('default-api-server', server);
