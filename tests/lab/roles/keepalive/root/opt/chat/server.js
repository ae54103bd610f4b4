// Copyright: Contributors to the sre.bad_gateway project
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Closes idle connections after five seconds, as Node.js does unless told otherwise. A report keeps it busy for two.
const http = require('http')

const server = http.createServer((request, response) => {
  const end = Date.now() + (request.url === '/report' ? 2000 : 0)
  while (Date.now() < end);
  request.resume()
  setTimeout(() => response.end('said\n'), 300)
})
server.listen(3000, '127.0.0.1')
